"""Where `mechdyn.rag.strategies` used to keep the names of the strategies; import them from there."""

from mechdyn.rag.strategies import DYNAMIC as DYNAMIC
from mechdyn.rag.strategies import DYNAMIC_RANDOM as DYNAMIC_RANDOM
from mechdyn.rag.strategies import FIXED_RANDOM as FIXED_RANDOM
from mechdyn.rag.strategies import FULL_CONTEXT as FULL_CONTEXT
from mechdyn.rag.strategies import ORACLE as ORACLE
from mechdyn.rag.strategies import STATIC as STATIC
