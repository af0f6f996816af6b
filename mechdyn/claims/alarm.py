"""Silent heads as an alarm: where an answer goes wrong, do the heads that copy stay silent, beyond what the model's own doubt tells?

The criterion, fixed on 2026-11-21 before anything was run. At a step that emits a content token claimed from the context
(`mechdyn.studies.claimed_tokens`) two measures say how much retrieval stands behind it, both over the 20 first heads of a static ranking,
weighted by their mean score in a disjoint detection set: *labelled*, by the step's retrieval scores, which know the needle; and
*deployable*, by each head's attention on positions of the context that hold the emitted token, wherever they are
(`mechdyn.traces.backing`). The first wrong token of an answer is held against right tokens; what follows a wrong token is left out.

Logistic models are fitted on four fifths of the samples and judged on the rest, five folds (samples of one text in one fold). Both know
the entropy and the largest probability of the step's distribution; the second also knows the measure. The gain is the mean held-out
log-loss of the first less that of the second, in nats a token, with a 95 % interval by sample. For the deployable measure:

- supported if the gain has its lower end above 0;
- refuted if it has its upper end below 1 % of the first model's log-loss;
- inconclusive between, and with fewer than 200 wrong tokens.

The labelled measure's gain stands beside it and decides nothing.
"""
