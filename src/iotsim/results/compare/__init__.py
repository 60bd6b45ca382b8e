"""What changed between two runs, told from what they have left.

    spread      how long something took, of any number of times, in a bounded number of bytes
    vocabulary  which messages, fields and names of a protocol have been seen
    profile     a run as figures: what two runs are compared by, and what a baseline keeps
    figures     the figures of two profiles side by side, and whether a change is sure
    thresholds  which change is too large: ``latency.p95=20%``
    devices     whose figures changed the most
    notes       what differs in the runs themselves, and what is not known of them
    comparison  all of that, and whether it is worse
    baseline    the profiles of several runs in one file

Pure, as all of `iotsim.results`: `iotsim.run.compare` reads the files.
"""
