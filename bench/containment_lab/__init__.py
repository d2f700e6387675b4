"""The containment benchmark's laboratory: how often a wrong model output becomes a harmful write.

    world       what a namespace is made of, and which fault is in it: parameters and ground truth
    simulation  what its pods and Services do, and what a write does to them
    faults      worlds, one class of fault after the other
    kubernetes  a world as API objects; `render` adds logs, probes, events, the target's state and the health
    answers     the right answer to a world, as a competent model hands it in
    operators   what turns a right answer into a wrong one, or the world under it into another
    oracle      whether a write is harmful
    trials      one answer on its way through the gates
    full        the same on the embedded cluster, with real processes

World, simulation, faults and oracle import neither gates nor policy nor rules, and nothing of `backstop` at all.
"""
