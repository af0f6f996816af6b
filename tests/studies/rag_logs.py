"""Questions and logs of dynamic RAG, made up."""

from mechdyn.rag.log import QuestionRecord, RagLog, Round

FACTS = ("The mill is in Bordford.", "Bordford is old.")
PROMPT = " ".join(("Context:", *FACTS, "Other."))


def question(place):
    spans = tuple((PROMPT.index(fact), PROMPT.index(fact) + len(fact)) for fact in FACTS)
    return QuestionRecord(f"s{place}", "world", "Where?", "Bordford", PROMPT, (9, len(PROMPT)), 30, spans)


def log(place, strategy, right, facts=((1.0, 0.0),), stopped="eos"):
    rounds = tuple(Round("draft", None, "", True, ("L0H0",), (), found, f" {FACTS[index % 2]}") for index, found in enumerate(facts))
    return RagLog(
        f"s{place}", strategy, "So the answer is Bordford." if right else "no idea", (1,), stopped, 9, rounds, 10 * (place + 1), 0.5
    )


QUESTIONS = [question(place) for place in range(30)]


def logs(strategy, right, **changes):
    return [log(place, strategy, answered, **changes) for place, answered in enumerate(right)]
