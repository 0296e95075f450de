"""Worker processes: one per slot, replaced when they fail, so that a chunk can cost only itself.

A chunk's way: ``supervisor`` hands out an idle ``slot``, which writes the chunk to its process
(``channel``, ``frames``); ``worker`` is what runs in the process; ``memory`` and the slot's timer
end a process that takes too much; ``forkserver`` and ``preload`` make the next one quickly.
"""
