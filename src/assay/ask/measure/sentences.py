"""Sentences: plain English about nothing in particular, on which it is seen what a change does to a
model besides what a claim says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from assay.ask.measure.prompts import PromptSet, load
from assay.ask.tables import Prompts

NAME = "plain sentences"
"""What they are called among the prompts of a study; no study can name its own so."""
START, END = "start", "end"
"""The columns: who or what a sentence is about, and how it ends."""

_SENTENCES = """
The old baker| opened his shop| before the sun came up
My younger sister| forgot her umbrella| on the bus again
The two boys| ran down the hill| to catch the ball
Our neighbour| painted the fence| green last summer
A small dog| was barking| at the closed door
The train| was late| because of the heavy snow
Her grandmother| told us a story| about a clever fox
The waiter| brought two cups| of hot coffee
The farmer| looked at the sky| and hoped for rain
Most of the guests| had left| by ten in the evening
The kitchen window| was open| all night long
His first bicycle| was red| with a silver bell
The teacher| wrote a long word| on the board
A cold wind| blew through the trees| in the garden
The children| built a tower| out of wooden blocks
The postman| left a letter| under the mat
Their new house| has three rooms| and a large kitchen
The cat| slept on the chair| in front of the fire
Every morning she| drinks a glass| of warm milk
The carpenter| cut the board| into four equal parts
A group of students| sat on the grass| and talked about music
The nurse| closed the curtains| so that he could sleep
The lake| was frozen| for most of the winter
My uncle| repairs old clocks| in his spare time
The soup| needs more salt| and a little pepper
The librarian| found the book| on the top shelf
Some of the apples| had fallen| from the tree
The driver| stopped the car| at the side of the road
The little girl| counted the steps| up to her room
A long queue| had formed| in front of the theatre
The gardener| watered the roses| early in the morning
His shoes| were wet| after the walk in the rain
The music| became louder| as we came closer
The captain| sent a message| to the other ship
The shop on the corner| sells bread| and fresh vegetables
The baby| laughed loudly| when the door opened
The hotel| was full| so they slept in the car
Our team| lost the game| in the last minute
The bridge| was closed| for three weeks
The painter| mixed the blue| with a little white
A tall man| asked the way| to the nearest station
The moon| rose slowly| above the dark hills
The students| finished the test| in less than an hour
Her coat| was hanging| behind the door
The cook| washed the rice| and put it in the pot
The path| goes through the forest| and along the river
The choir| sang the last song| without any light
The mechanic| checked the engine| but found nothing wrong
"""


@cache
def plain() -> PromptSet:
    """The 48 sentences, each without its end, which is a column."""
    names, lines = (START, "middle", END), _SENTENCES.strip().splitlines()
    rows = tuple(dict(zip(names, line.split("|"), strict=True)) for line in lines)
    return load(Prompts(name=NAME, text="{start}{middle}", rows=rows), Path())
