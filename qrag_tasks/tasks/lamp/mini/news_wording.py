"""The wording of the sample articles: local news from places that do not exist, in eight kinds."""

from __future__ import annotations

from typing import NamedTuple

# Templates are for `random_text.expand`. Slots: {town}; {thing} of a kind; {quote}, {voice}.
TOWNS = (
    "Brannock",
    "Port Ellery",
    "Saltmere",
    "Hollin Cross",
    "Västerlid",
    "Ketterby",
    "Lower Tarn",
    "Ormsdale",
    "Pineholm",
    "San Aldo",
    "Wexcombe",
    "Nordhøy",
)
QUOTES = (
    "I have never seen anything like it",
    "We will talk about this for years",
    "It concerns all of us",
    "Ask me again in a year",
    "People here are patient",
    "That is how we are",
    "Somebody had to begin",
    "My phone has not stopped ringing",
    "There is no reason to panic",
)
VOICES = (
    "mayor Inès Harrow",
    "baker Tom Ruvik",
    "teacher Olga Brandt",
    "council member Ray Pell",
    "bus driver Ana Motta",
    "retired nurse Joan Styles",
    "hotel owner Per Hagen",
    "student Li Wen",
)
VOICE_LINES = (
    '"{quote}," said {voice}.',
    '"{quote}," {voice} told this paper.',
    '"{quote}," was all that {voice} would say.',
)


class Kind(NamedTuple):
    """A kind of news. Its headlines are clauses without a capital, for styles to build on."""

    things: tuple[str, ...]
    leads: tuple[str, ...]
    details: tuple[str, ...]
    clause: str
    question: str
    how: str


KINDS: dict[str, Kind] = {
    "reopenings": Kind(
        things=("swimming hall", "night ferry", "puppet theater", "tram line", "outdoor cinema"),
        leads=(
            "After [four|six|nine] years of silence, the {thing} in {town} is back in service.",
            "The {thing} in {town} opened again on [Saturday|Sunday] in front of [three hundred|"
            "nearly a thousand] visitors.",
            "With a brass band and free soup, {town} celebrated the return of its {thing} on "
            "[Friday|Sunday].",
        ),
        details=(
            "Volunteers had worked on it for two winters, mostly with donated tools.",
            "The council paid a third of the bill, and a raffle brought in the rest.",
            "Tickets cost [three|four] crowns, and children are admitted free until [May|August].",
        ),
        clause="{town} reopens its {thing}",
        question="can {town} afford its {thing}?",
        how="how {town} got its {thing} back",
    ),
    "closures": Kind(
        things=("post office", "bakery", "bookshop", "record shop", "night pharmacy"),
        leads=(
            "The last {thing} in {town} will close at the end of [March|June|October], its owners "
            "said on [Monday|Tuesday].",
            "[Rising rents|Fewer customers] and a leaking roof have ended the long story of the "
            "{thing} in {town}.",
            "The lights go out for good at the {thing} in {town}, which opened in [1951|1964].",
        ),
        details=(
            "The nearest alternative is [nine|fourteen] miles away, and two buses a day go there.",
            "A petition with [four hundred|two thousand] names came too late.",
            "[Three|Five] people lose their jobs, and nobody has offered to take over.",
        ),
        clause="{town} loses its last {thing}",
        question="who will replace the {thing} in {town}?",
        how="how {town} lost its last {thing}",
    ),
    "animals": Kind(
        things=("beavers", "storks", "seals", "wild goats", "otters"),
        leads=(
            "For the first time in [forty|sixty] years, {thing} have been seen near {town}, "
            "biologists confirmed on [Monday|Thursday].",
            "A family of {thing} has settled near {town}, to the delight of children and the worry "
            "of gardeners.",
            "What began with one odd photograph is now certain: {thing} live near {town} again.",
        ),
        details=(
            "Walkers are asked to keep dogs on a leash until [June|August].",
            "Hidden cameras counted at least [seven|eleven] animals in a single night.",
            "A fence will protect the site, and a school has taken over the watch.",
        ),
        clause="{thing} return to {town}",
        question="are the {thing} of {town} here to stay?",
        how="how {town} learned to live with {thing}",
    ),
    "weather": Kind(
        things=("snowstorm", "hailstorm", "flood", "heat wave", "thunderstorm"),
        leads=(
            "A {thing} closed all schools in {town} on [Tuesday|Thursday] and kept [two|five] "
            "hundred people at home.",
            "{town} spent [Wednesday|Friday] putting itself in order after the worst {thing} in "
            "[ten|twenty] years.",
            "Schools in {town} stayed empty for [two|three] days after a {thing} that no forecast "
            "had announced.",
        ),
        details=(
            "Nobody was hurt, but the damage may reach half a million.",
            "Farmers with tractors carried food and medicine until midnight.",
            "Trains will run again from [Saturday|Monday], the operator hopes.",
        ),
        clause="{thing} shuts schools in {town}",
        question="was {town} ready for the {thing}?",
        how="how {town} got through the {thing}",
    ),
    "finds": Kind(
        things=("medieval well", "walled-up cellar", "wooden boat", "tiled floor", "staircase"),
        leads=(
            "Workers who were laying a [water|gas] pipe in {town} struck a {thing} that may be "
            "[five|seven] hundred years old.",
            "Roadworks in {town} came to a halt on [Monday|Wednesday] when a {thing} appeared "
            "below the main street.",
            "A {thing} that no map shows has come to light under the main street of {town}.",
        ),
        details=(
            "The museum hopes to show the find in [spring|autumn].",
            "Archaeologists have been given [two|three] weeks to record it.",
            "Until then, traffic goes around by the [cemetery|railroad bridge].",
        ),
        clause="{thing} found under {town}",
        question="what is a {thing} doing under {town}?",
        how="how a {thing} stopped the roadworks in {town}",
    ),
    "plans": Kind(
        things=("wind farm", "parking garage", "ring road", "shopping center", "concert hall"),
        leads=(
            "Plans for a {thing} split {town} on [Wednesday|Thursday], when [two|four] hundred "
            "residents came to a hearing.",
            "A proposed {thing} has become the [loudest|longest] debate that {town} has had in "
            "years.",
            "Neighbors in {town} no longer greet each other since a {thing} was proposed in "
            "[March|May].",
        ),
        details=(
            "Supporters speak of jobs, while opponents fear noise and debts.",
            "The council will vote in [June|November], after a second report.",
            "An architect has offered a smaller version at half the price.",
        ),
        clause="{town} argues over a new {thing}",
        question="does {town} need a new {thing}?",
        how="how a {thing} divided {town}",
    ),
    "festivals": Kind(
        things=("lantern festival", "cheese fair", "kite festival", "book fair", "jazz weekend"),
        leads=(
            "More than [ten|thirty] thousand guests are expected at the {thing} in {town}, which "
            "begins on [Thursday|Friday].",
            "Hotels in {town} are full days before the {thing}, and farmers rent out meadows to "
            "campers.",
            "The {thing} in {town} has sold more tickets than ever, [two|three] weeks before it "
            "starts.",
        ),
        details=(
            "The old bridge is closed to traffic, so visitors should come by train.",
            "The guest of honor is a clockmaker of [eighty|ninety] who has never missed one.",
            "Police and fire brigade have asked for more staff.",
        ),
        clause="{town} expects record crowds for its {thing}",
        question="has the {thing} outgrown {town}?",
        how="how a {thing} put {town} on the map",
    ),
    "inventions": Kind(
        things=("self-driving bus", "library robot", "delivery drone", "talking bus stop"),
        leads=(
            "A {thing} has been at work in {town} since [Monday|Tuesday], with two engineers never "
            "far away.",
            "{town} is the first place in the region to try out a {thing}, at a cost of [sixty|"
            "ninety] thousand.",
            "Curious crowds followed the first day of a {thing} that {town} will test until "
            "[summer|winter].",
        ),
        details=(
            "So far the trial has produced one [complaint|scratch] and many photographs.",
            "Older residents were offered cake and a lesson.",
            "If it fails, the maker will take it back free of charge.",
        ),
        clause="{town} tests a {thing}",
        question="does the {thing} of {town} work?",
        how="how {town} came to trust a {thing}",
    ),
}
