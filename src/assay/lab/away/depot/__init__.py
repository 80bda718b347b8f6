"""Depot: a store on object storage or another machine's disk, which many machines share by its
URL.

    store.json                                          {"format": 1}, written first
    runs/<experiment>/<key>.<measured>.<like>.<id>.zip  one finished run: its files, uncompressed
    groups/<experiment>/<16hex>.json                    an unfinished group's runs, so that every
                                                        machine forms the same ones
    leases/<name>/<number>.json                         who works on a group, or builds an artefact
    artefacts/<kind>/<16hex>/<hash>                     64 MiB of an artefact's files
    artefacts/<kind>/<16hex>/hashes.json                what the artefact is made of; written last
    notes/<path of a file>/<number>-<hash>              a result, a registration, or one line of a
                                                        file of looks

Nothing there is renamed, appended to or locked, and only a lease is ever written twice: every other
name says what is in it, by its hash. So writers never mix, what was written in part differs from
its name and counts as absent, and a listing that lags makes somebody do a thing twice, at worst. No
time of one machine is compared with that of another.

A machine works in a store of its own, its *mirror* of the depot, in the cache: what others stored
is fetched into it, and what it stored is sent.
"""

from assay.lab.away.depot.bucket import Bucket
from assay.lab.away.depot.depot import Depot, mirror, open_depot

__all__ = ["Bucket", "Depot", "mirror", "open_depot"]
