"""The words of the sample: what its made-up users write about, and how.

In braces stand parts of a topic, in square brackets one of several wordings.
"""

from __future__ import annotations

from typing import NamedTuple

NAMES = ("Ada Orlen", "Ben Falk", "Cleo Martens", "Dario Venn", "Edda Loris", "Finn Harrow")
"""One for each user."""

OPENINGS = (
    "To begin with,",
    "Let me be plain:",
    "For years",
    "As it happens,",
    "Against all expectation,",
    "Put simply,",
)
"""What a user begins with, each their own."""
TURNS = (
    "That said,",
    "Mind you,",
    "All the same,",
    "To my surprise,",
    "On closer inspection,",
    "In practice, however,",
)
ENDINGS = (
    "More than that nobody can ask.",
    "Make of it what you will.",
    "I would do it again tomorrow.",
    "The rest is a matter of taste.",
    "We shall see how long it lasts.",
    "This is where the matter rests.",
)


class Paper(NamedTuple):
    """A topic of papers: method, object, field and result."""

    method: str
    object: str
    field: str
    result: str


PAPERS = (
    Paper("Ranked Sampling", "Water Demand", "small towns", "forecasts improve by a third"),
    Paper("Paired Sensors", "Bridge Vibration", "cold regions", "false alarms become rare"),
    Paper("Sparse Diaries", "Sleep Quality", "night workers", "two questions a day suffice"),
    Paper("Shared Maps", "Bus Delays", "hilly cities", "delays are seen ten minutes ahead"),
    Paper("Random Pruning", "Apple Harvests", "old orchards", "yields hold with half the labour"),
    Paper("Tone Matching", "Choir Tuning", "amateur choirs", "pitch drifts half as fast"),
    Paper("Slow Grading", "Essay Scores", "large classes", "graders agree more often"),
    Paper("Layered Nets", "Trout Counts", "mountain lakes", "counts agree with sonar"),
    Paper("Nested Surveys", "Moth Numbers", "city parks", "rare species are not missed"),
    Paper("Mirror Tests", "Robot Grasping", "cluttered shelves", "grasps fail less often"),
    Paper("Early Warnings", "Flood Damage", "river deltas", "losses fall in every season"),
    Paper("Folded Codes", "Seed Sorting", "village mills", "sorting takes a quarter of the time"),
)
ABSTRACT = (
    "{opening} [work on|the study of] {object} in {field} has relied on [guesses|single cases].",
    "We [propose|describe|test] {method} and apply it to {object}.",
    "[Data come from|We draw on] {number} sites in {field}, followed for {years} years.",
    "{turn} {result}, [and the cost is small|at little cost].",
    "[We release all records|All records are open]. {ending}",
)


class Product(NamedTuple):
    """A product: what it is, its description, what is good and what is bad about it."""

    thing: str
    description: str
    good: str
    bad: str


PRODUCTS = (
    Product("kettle", "a steel kettle of 1.2 litres", "it boils fast", "the lid sticks"),
    Product("tent", "a tent for two, 2.1 kg", "it stands in any wind", "the poles are short"),
    Product("novel", "a novel of a lighthouse keeper", "the sea is on every page", "it drags"),
    Product("lamp", "a desk lamp with a clamp", "the light is warm", "the arm sags"),
    Product("knife", "a kitchen knife of 20 cm", "it keeps its edge", "the handle is slick"),
    Product("radio", "a kitchen radio with two dials", "the sound is full", "the aerial is weak"),
    Product("boots", "walking boots, waterproof", "my feet stayed dry", "the laces wear out"),
    Product("quartet", "a recording of four quartets", "every voice is clear", "it is too short"),
    Product("planner", "a paper planner for a year", "it takes any ink", "weeks are cramped"),
    Product("drill", "a cordless drill, 18 volts", "it never stalls", "the case is flimsy"),
    Product("puzzle", "a puzzle of 1,000 pieces", "all pieces fit well", "the sky is one blue"),
    Product("bag", "a canvas bag with straps", "it holds a whole week", "the zip is stiff"),
)
REVIEW = (
    "{opening} I bought this {thing} [for my sister|for the house|after a long search].",
    "[What I like is that|The best of it is that] {good}.",
    "{turn} {bad}, [which you notice at once|and that took a week to notice].",
    "I have [used|owned] it for {number} months [and it looks like new|with few complaints].",
    "{ending}",
)


class Topic(NamedTuple):
    """A topic of posts: what the post is about, what was done and what came of it."""

    about: str
    deed: str
    outcome: str


TOPICS = (
    Topic("learning to bake bread", "fed a starter for a month", "the third loaf rose"),
    Topic("cycling to work all winter", "bought studded tyres", "I fell only once"),
    Topic("a first garden on a balcony", "planted beans in buckets", "we ate them in July"),
    Topic("moving to a small town", "sold half of our things", "the neighbours brought soup"),
    Topic("leaving a job after ten years", "wrote the letter on a Monday", "nobody was angry"),
    Topic("reading one poem a day", "kept the book by the kettle", "some lines have stayed"),
    Topic("repairing an old radio", "replaced every capacitor", "it hums, but it plays"),
    Topic("a dog that fears the stairs", "put treats on each step", "she now runs up first"),
    Topic("writing letters by hand", "sent one every Sunday", "half of them were answered"),
    Topic("swimming in a cold lake", "began in September", "I no longer dread the shower"),
    Topic("keeping bees on a roof", "took a course in spring", "we got four jars"),
    Topic("teaching my father to type", "found him a game", "he writes to the paper now"),
)
POST = (
    "{opening} I want to tell you about {about}.",
    "[Last year|Some time ago] I {deed}, [without much hope|as everybody advised].",
    "{turn} it took {number} weeks, and {outcome}.",
    "[If you are new to this|To anyone who hesitates]: [start small|ask for help|take notes].",
    "{ending}",
)


class Mail(NamedTuple):
    """A matter of e-mails: subject, first sentence, what is asked and by when."""

    subject: str
    first: str
    request: str
    day: str


MAILS = (
    Mail("Meeting room", "the room on the third floor is taken", "book another one", "Monday"),
    Mail("Travel forms", "two of your receipts are missing", "send me scans of them", "Tuesday"),
    Mail("New printer", "the printer has arrived", "tell your team where it stands", "Friday"),
    Mail("Draft report", "I have read your draft twice", "shorten the second part", "Thursday"),
    Mail("Lunch list", "the list closes soon", "say what you would like", "Wednesday"),
    Mail("Server move", "the move begins at night", "save your files elsewhere", "Saturday"),
    Mail("Spare keys", "one set of keys is not in the box", "look through your desk", "Monday"),
    Mail("Interview plan", "three people come next week", "choose one hour a day", "Tuesday"),
    Mail("Budget figures", "line nine does not add up", "check it against last year", "Friday"),
    Mail("Parking places", "the yard is closed for repairs", "use the street", "Thursday"),
    Mail("Old contract", "the contract ends in spring", "say whether we renew it", "Wednesday"),
    Mail("Fire drill", "the drill lasts ten minutes", "leave by the east stairs", "Saturday"),
)
LETTER = (
    "{opening} {first}.",
    "[Please|Would you kindly] {request} by {day}, [as others wait for it|so that we can go on].",
    "{turn} {number} of us are [away|busy], so [take your time|do not worry].",
    "[Thank you in advance.|Thanks for your help.] {ending}",
)
