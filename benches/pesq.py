"""Scores speech by ITU-T P.862: a line in holds the rate and two files of samples, what was said and
what was heard; a line out holds the score as MOS-LQO."""

import sys

import numpy
from pesq import pesq

for line in sys.stdin:
    rate, said, heard = line.split()
    said, heard = (numpy.fromfile(name, "<i2") for name in (said, heard))
    print(pesq(int(rate), said, heard, "nb" if rate == "8000" else "wb"), flush=True)
