"""Every number that the diagnosis depends on, in one place, with its reason."""

MAX_AFFECTED = 500
"""Affected subjects looked at: the interval of a share of 500 is within 4.4 points, more changes no ranking."""

MAX_HEALTHY = 2_000
"""Healthy subjects looked at: what happens to one order in a thousand is still seen about twice."""

MAX_RECORDS = 60_000
"""Records of a file's cohort that are read: some seconds of work, and more subjects change no ranking."""

LEAST_SUBJECTS = 200
"""… but so many subjects at least: the interval of a share of 200 is within 7 points."""

MIN_HEALTHY = 5
"""Fewer healthy subjects are no baseline: the upper bound of 0 of 4 is 49 %, of 0 of 5 still 43 %."""

MIN_OBSERVATIONS = 10
"""To clear a service: the upper bound of 0 of 10 is 28 %, so most of its orders were all right."""

NOISE_SPLITS = 5
"""Healthy halves compared with each other; the floor is the largest contrast any of them shows."""

LEAST_FLOOR = 0.15
"""The floor is never below this: halves of one window do not show how two windows differ by themselves."""

FEW_FLOOR = 0.5
"""… nor below that and this over the root of the smaller cohort: of many pairs compared among few cases some
differ by chance. It is half of what the 95 % interval of one share of n is wide to either side, 0.98 / sqrt(n)."""

DEEPER_WINS = 0.75
"""A service on which a suspect depends takes its place if it reaches this share of the suspect's score."""

LATENCY_QUANTILE = 0.9
"""A duration is slow above the healthy 90th percentile (its upper confidence bound, see `latency`)."""

LATENCY_SHARE = 0.02
"""… and only by at least this share of what a healthy subject takes as a whole: less delays nobody."""

INFERRED_SHARE = 0.1
"""… or by this share where lines alone tell the call (`nesting`): its time then holds what the callee does without
writing, which grows with the data that it keeps."""

SIMILAR_LINES = 0.6
"""Share of equal tokens for two lines of text to be one template; Drain's own default is 0.4 to 0.5."""

LINE_TOKENS = 24
"""Tokens of a line that count: what follows is data in practice (a dumped response, a stack)."""

LINE_LENGTH = 600
"""Characters of a line that are looked at: `LINE_TOKENS` are in them, and masks cost time."""

EXAMPLES = 2
"""Log lines of a finding that are kept: one might be odd, and more are not read in a chat."""

EXAMPLE_LENGTH = 300
"""Characters of such a line: some three lines on a page, and what a message can hold of several."""

WORDS_PER_SERVICE = 2
"""Different last words of a service that are told: what most orders ended on, and the next."""
