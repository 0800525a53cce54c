"""The wording of the sample reviews: sentence templates, and products with their aspects."""

from __future__ import annotations

from typing import NamedTuple

# Templates are for `random_text.expand`. Slots: {a} "a desk lamp", {noun} "desk lamp", {this},
# {it}/{It}, {obj} (it/them), {is}, {has}, {does}, {was}, {known}; {reason}/{Reason}, {when},
# {span}, {giver}/{Giver}.
OPENERS = (
    "I bought {a} {when} because {reason}.",
    "{Reason}, so I ordered {a} {when}.",
    "{Giver} recommended {a} to me {when}, knowing that {reason}.",
    "I had been looking for {a} [for a while|for some time], since {reason}.",
    "I picked up {a} {when}, mostly because {reason}.",
    "{Reason}, and {giver} told me to try {a}.",
    "{Reason}. After [some|a little] reading around, I settled on {this} {noun}.",
)

SPANS = (
    "three weeks",
    "a full month",
    "two months",
    "half a year",
    "most of this year",
    "a couple of weeks",
    "six weeks",
    "a good four months",
    "ten weeks or so",
)
WHENS = (
    "last month",
    "in early spring",
    "three weeks ago",
    "last fall",
    "in January",
    "during the summer sales",
    "a while back",
    "just before the holidays",
)
GIVERS = (
    "my sister",
    "my brother",
    "a colleague",
    "a friend",
    "my neighbor",
    "my partner",
    "an old classmate",
    "my mother",
)

# How satisfied the text sounds, from level 1 to level 5. A lead stands early, a verdict last.
LEADS: dict[int, tuple[str, ...]] = {
    1: (
        "{It} {has} been a [disappointment|letdown] from the first day.",
        "I wish I had never [ordered|chosen] {obj}.",
        "I am [angry|upset] about the money I spent.",
        "Almost everything that could go wrong [did|has gone wrong].",
        "My patience with {obj} ran out [quickly|within days].",
    ),
    2: (
        "I have [serious|growing] doubts about {obj}.",
        "{It} {has} not lived up to [my hopes|the description].",
        "Sadly, {it} {is} not what I [expected|had hoped for].",
        "I wanted to like {obj} more than I do.",
        "My first impression was better than my [second|present] one.",
    ),
    3: (
        "{It} {is} fine, [no more and no less|but I expected a bit more].",
        "My feelings about {obj} are mixed.",
        "There is [as much to like as to dislike|good and bad to report].",
        "{It} {is} about what one can expect at this price.",
        "I am still [undecided|making up my mind] about {obj}.",
    ),
    4: (
        "I like {obj} [a lot|quite a bit].",
        "{It} {has} been a [good|sound] choice for me.",
        "I am [pleased|happy] with most of what I got.",
        "{It} {is} better than I expected at this price.",
        "So far I have [few|hardly any] complaints.",
    ),
    5: (
        "I love {obj}, [plain and simple|and there is no other word for it].",
        "{It} {has} gone far beyond what I [expected|hoped for].",
        "I am [thrilled|delighted] with {obj}.",
        "I cannot [remember|recall] when a purchase last made me this happy.",
        "From the first day {it} {has} been [a delight|pure joy].",
    ),
}
VERDICTS: dict[int, tuple[str, ...]] = {
    1: (
        "I [regret|deeply regret] choosing {obj}.",
        "For me {it} {was} a complete waste of money.",
        "I [asked for|am asking for] a refund.",
        "Please save your money and look [elsewhere|for something else].",
        "I cannot recommend {obj} to anyone.",
        "{It} {is} the worst {noun} I have ever {known}.",
        "Never again, and I [would|will] warn anyone who asks me.",
        "Frankly, I am [shocked|dismayed] that anybody sells {obj}.",
    ),
    2: (
        "I had hoped for more and would not choose {obj} again.",
        "For the price, I am [rather|somewhat] disappointed.",
        "Overall {it} {does} not keep [its promise|what the seller promises].",
        "There are better choices [at this price|for the same money].",
        "I would think twice before recommending {obj}.",
        "Next time I will [try something else|spend a little more].",
        "[Too many|Several] small problems add up, and I am not convinced.",
    ),
    3: (
        "All in all, {it} {is} decent but nothing special.",
        "I neither regret the purchase nor feel excited about it.",
        "{It} will do [for now|for the moment], but I may look around next time.",
        "Some things I like and some I do not, so I [stay|remain] in the middle.",
        "It is an [average|ordinary] purchase, and I can live with that.",
        "Whether {it} {is} worth the money depends on what you need.",
        "On the whole, the good and the bad [balance out|cancel each other].",
    ),
    4: (
        "Overall I am quite [happy|content] with {obj}.",
        "It was a good buy, even if not a perfect one.",
        "I would [happily|gladly] recommend {obj} to a friend.",
        "On balance I am glad that I chose {obj}.",
        "Nearly everything is right, and the rest I can [forgive|overlook].",
        "I expect to enjoy {obj} for a long time.",
        "For the money, {it} {is} [very good|a solid choice].",
    ),
    5: (
        "I could not be happier with {obj}.",
        "I would buy {obj} again without a second thought.",
        "{It} {is} easily the best {noun} I have ever {known}.",
        "I have already recommended {obj} to [half the office|two neighbors|my whole family].",
        "I honestly cannot find [anything|a thing] to complain about.",
        "Everything about {obj} feels [thought through|carefully made].",
        "[Absolutely|Truly] superb, and worth every cent.",
        "{It} would make a fine present for anyone I care about.",
    ),
}

# Blame so mild that a pleased buyer shrugs it off; each goes on from a lead of ONLY_BLAME.
QUIBBLES = (
    "the price is [a little|somewhat] high",
    "delivery took [longer than promised|more than two weeks]",
    "there was far more packaging than needed",
    "{it} {is} hard to find in ordinary shops",
    "the description leaves out a few [details|useful facts]",
)
TURNS_TO_BLAME = ("That said, ", "On the other hand, ", "However, ", "Still, ", "Then again, ")
TURNS_TO_PRAISE = ("On the plus side, ", "To be fair, ", "Then again, ", "Still, ")
ONLY_BLAME = (
    "My [only|one] complaint is that ",
    "If I had to name a weakness, it would be that ",
    "One small thing bothers me, namely that ",
)
ONLY_PRAISE = ("The one good thing is that ", "To be fair, ", "In fairness, ", "At least ")

# Facts that say nothing about satisfaction; they fill up a short review.
FACTS = (
    "I paid [the full price|a little less than the list price].",
    "I compared [three|four] others before I decided.",
    "I had read a few [opinions|reviews] beforehand.",
    "There was a choice of sellers, and I took the [cheapest|nearest].",
)


class Aspect(NamedTuple):
    """One side of a product, praised or blamed; every sentence is a full main clause."""

    good: tuple[str, ...]
    bad: tuple[str, ...]


class Goods(NamedTuple):
    """A product category. Its products share all aspects and one grammatical number."""

    plural: bool
    known: str  # what one has done with the goods: "the best lamp I have {owned}"
    products: tuple[tuple[str, str], ...]  # ("a pair of trail shoes", "trail shoes")
    reasons: tuple[str, ...]  # why one went looking, as a clause in the past
    openers: tuple[str, ...]
    aspects: tuple[Aspect, ...]


GOODS: dict[str, Goods] = {
    "pans": Goods(
        plural=False,
        known="owned",
        products=(
            ("a frying pan", "frying pan"),
            ("a carbon steel wok", "wok"),
            ("a griddle pan", "griddle pan"),
            ("a steel skillet", "skillet"),
            ("a cast-iron pan", "cast-iron pan"),
            ("a ceramic pan", "ceramic pan"),
            ("a copper-bottomed pan", "copper pan"),
        ),
        reasons=(
            "my old one had [warped|lost its coating|lost its handle]",
            "we had switched to [an induction|a gas] stove",
            "I wanted to cook at home more often",
            "the one from my student days was falling apart",
        ),
        openers=(
            "I have cooked [most of our dinners|eggs and vegetables|fish and vegetables] in this "
            "{noun} for {span}.",
            "This {noun} has been on my stove [nearly every evening|every weekend] for {span}.",
            "We are a family of [three|four|five], and this {noun} sees [daily|regular] use.",
        ),
        aspects=(
            Aspect(
                (
                    "The heat spreads evenly right out to the [rim|edge].",
                    "It gets hot [quickly|fast] and browns everything at the same pace.",
                ),
                (
                    "The middle [burns|scorches] while the edge is still cold.",
                    "It takes [ages|far too long] to heat up on a normal burner.",
                ),
            ),
            Aspect(
                (
                    "Even [fried eggs|pancakes|thin fillets] slide off without [sticking|a fight].",
                    "Nothing has stuck to the surface so far, with hardly any oil.",
                ),
                (
                    "Food [sticks|clings] to the surface no matter how much oil I use.",
                    "The surface was [scratched|stained] after the third meal.",
                ),
            ),
            Aspect(
                (
                    "The handle stays cool and sits well in [my|the] hand.",
                    "The handle is [solid|firmly riveted] and long enough for a safe grip.",
                ),
                (
                    "The handle gets so hot that I need a [cloth|glove] every time.",
                    "The handle came loose within [days|a week] and wobbles when I pour.",
                ),
            ),
            Aspect(
                (
                    "It wipes clean in [seconds|a minute] under warm water.",
                    "Cleaning it takes [one wipe|a quick rinse], and no smell stays behind.",
                ),
                (
                    "Scrubbing it clean takes longer than [cooking|the meal].",
                    "Grease collects around the rivets and is [hard|a pain] to get out.",
                ),
            ),
            Aspect(
                (
                    "It has a [reassuring|comfortable] weight and is still easy to lift with one "
                    "hand.",
                    "The balance is so good that I can toss vegetables with [one hand|ease].",
                ),
                (
                    "It is so heavy that I need both hands to [lift|move] it.",
                    "The metal is thin and feels [flimsy|cheap] even when the pan is empty.",
                ),
            ),
            Aspect(
                (
                    "The base is [perfectly|completely] flat and never slides around.",
                    "The base has kept its shape in spite of high heat.",
                ),
                (
                    "The base bulges [a little|visibly], so the oil runs to one side.",
                    "The base [rocks|spins] on a flat stove whenever I stir.",
                ),
            ),
        ),
    ),
    "headphones": Goods(
        plural=True,
        known="owned",
        products=(
            ("a pair of over-ear headphones", "over-ear headphones"),
            ("a pair of wireless earbuds", "wireless earbuds"),
            ("a pair of running earphones", "running earphones"),
            ("a pair of studio headphones", "studio headphones"),
            ("a set of noise-canceling headphones", "noise-canceling headphones"),
            ("a pair of travel headphones", "travel headphones"),
            ("a pair of Bluetooth earphones", "Bluetooth earphones"),
        ),
        reasons=(
            "my old pair had stopped charging",
            "the office had become too [loud|noisy] to think in",
            "my commute had grown to an hour each way",
            "I wanted to listen to music without waking the family",
        ),
        openers=(
            "I have worn these {noun} [on the train|at my desk|on long walks] for {span}.",
            "These {noun} have [gone everywhere with me|been my daily companion] for {span}.",
            "I mostly listen to [podcasts|jazz|audiobooks|piano music], and I have used these "
            "{noun} for {span}.",
        ),
        aspects=(
            Aspect(
                (
                    "The sound is [warm and full|clear and open], with bass that never drowns the "
                    "voices.",
                    "I hear details in old recordings that I had [missed|never noticed] before.",
                ),
                (
                    "The sound is [thin|muffled], and the treble hurts at higher volume.",
                    "The bass [booms|buzzes] so much that voices disappear behind it.",
                ),
            ),
            Aspect(
                (
                    "The battery lasts through [a whole week of commuting|two full working days].",
                    "A short charge over [lunch|breakfast] is enough for the rest of the day.",
                ),
                (
                    "The battery is empty before [the afternoon|my working day is over].",
                    "The charge level drops from half to nothing [without warning|in minutes].",
                ),
            ),
            Aspect(
                (
                    "I forget that I am wearing them, even after [three|four] hours.",
                    "The padding is soft and never presses on my [ears|glasses].",
                ),
                (
                    "My ears [ache|hurt] after half an hour of wearing them.",
                    "They slip out of place every time I [turn my head|bend down].",
                ),
            ),
            Aspect(
                (
                    "People on calls tell me that my voice sounds [natural|clear].",
                    "The microphone copes well with [wind|street noise].",
                ),
                (
                    "Callers complain that I sound as if I were [under water|in a tunnel].",
                    "The microphone picks up every [keyboard|passing car] except my own voice.",
                ),
            ),
            Aspect(
                (
                    "Pairing took [seconds|a moment], and the connection has never dropped.",
                    "They switch between my phone and my laptop without any fuss.",
                ),
                (
                    "The connection [drops|breaks up] as soon as my phone is in a pocket.",
                    "I have to pair them again almost every [morning|day].",
                ),
            ),
            Aspect(
                (
                    "The buttons are easy to find by touch, even with gloves on.",
                    "The carrying case is [sturdy|slim] and fits in a coat pocket.",
                ),
                (
                    "The touch controls react to my [hair|hood] but not to my fingers.",
                    "The hinge of the case [cracked|broke] in the second week.",
                ),
            ),
        ),
    ),
    "novels": Goods(
        plural=False,
        known="read",
        products=(
            ("a detective novel", "detective novel"),
            ("a family saga", "family saga"),
            ("a spy thriller", "spy thriller"),
            ("a historical novel", "historical novel"),
            ("a science fiction novel", "science fiction novel"),
            ("a ghost story", "ghost story"),
            ("a courtroom drama", "courtroom drama"),
        ),
        reasons=(
            "I needed something for a [long flight|train journey|week at the lake]",
            "our reading group was between books",
            "I had run out of books by my favorite author",
            "I wanted a change from the [biographies|essays] I usually read",
        ),
        openers=(
            "I read this {noun} over [a rainy weekend|three evenings|two long train rides].",
            "This {noun} had been on my shelf for {span} before I opened it.",
            "Our reading group chose this {noun}, and I finished it [on Sunday|last night].",
        ),
        aspects=(
            Aspect(
                (
                    "The plot keeps [tightening|turning] without ever losing its logic.",
                    "I did not see the [main twist|big reveal] coming, and yet it made sense.",
                ),
                (
                    "The plot depends on one [coincidence|lucky accident] after another.",
                    "I guessed the [culprit|secret|outcome] long before the middle of the book.",
                ),
            ),
            Aspect(
                (
                    "The characters feel like people I could [meet|run into] on my street.",
                    "Even the minor characters have [reasons|lives] of their own.",
                ),
                (
                    "The characters are [flat|hollow], and I kept mixing up the two brothers.",
                    "I never understood why the main character [stayed|acted that way].",
                ),
            ),
            Aspect(
                (
                    "The prose is [clean|quiet] and precise, with flashes of dry humor.",
                    "Several sentences were so good that I [copied them out|read them aloud].",
                ),
                (
                    "The prose is [clumsy|overloaded], with three adjectives for every noun.",
                    "The author explains every feeling [twice|at length] and leaves nothing to us.",
                ),
            ),
            Aspect(
                (
                    "The ending is [moving|satisfying] and ties up what matters.",
                    "The last chapter stayed with me for [days|a week].",
                ),
                (
                    "The ending feels [rushed|tacked on], as if the pages had run out.",
                    "The last chapters leave the most interesting question [hanging|unanswered].",
                ),
            ),
            Aspect(
                (
                    "The dialogue sounds natural and tells [more than it says|half the story].",
                    "The [harbor town|old hotel|border village] comes alive in every scene.",
                ),
                (
                    "The dialogue is [wooden|stiff], and everybody talks in the same voice.",
                    "The setting stays so vague that it could be [anywhere|any town].",
                ),
            ),
            Aspect(
                (
                    "The pace is [just right|well judged], and I kept reading past midnight.",
                    "The chapters are short and always end at the right [moment|point].",
                ),
                (
                    "The first hundred pages [drag|crawl], and I nearly gave up.",
                    "The story loses its [way|speed] in the middle and repeats itself.",
                ),
            ),
        ),
    ),
    "tea": Goods(
        plural=False,
        known="tasted",
        products=(
            ("a tin of jasmine tea", "jasmine tea"),
            ("a box of breakfast tea", "breakfast tea"),
            ("a bag of green tea", "green tea"),
            ("a packet of oolong tea", "oolong tea"),
            ("a tin of smoked black tea", "smoked tea"),
            ("a box of mint tea", "mint tea"),
            ("a bag of white tea", "white tea"),
        ),
        reasons=(
            "the corner shop had stopped selling my usual brand",
            "I was trying to drink less coffee",
            "I wanted something [milder|gentler] for the evening",
            "I had tasted something similar at a friend's house",
        ),
        openers=(
            "I have been drinking this {noun} [every morning|each afternoon] for {span}.",
            "This {noun} has been in our [office|family] kitchen for {span}.",
            "I brew [two|three] pots a day, so this {noun} had a thorough test.",
        ),
        aspects=(
            Aspect(
                (
                    "The aroma fills the kitchen as soon as the [lid|packet] is open.",
                    "It smells fresh and [flowery|grassy], with nothing artificial about it.",
                ),
                (
                    "The smell reminds me of [wet cardboard|soap] rather than tea.",
                    "There is hardly any aroma, even in a freshly opened pack.",
                ),
            ),
            Aspect(
                (
                    "The taste is [round|smooth] and leaves a faint sweetness behind.",
                    "It tastes [clean and bright|full and mellow] from the first sip to the last.",
                ),
                (
                    "The taste is [flat|bitter], whatever the water temperature.",
                    "It leaves a [sour|dusty] taste that lingers for a long time.",
                ),
            ),
            Aspect(
                (
                    "The same leaves give [two|three] more good cups.",
                    "It is strong enough that one spoonful makes a whole [pot|jug].",
                ),
                (
                    "I need twice the usual amount to get any [flavor|color] into the cup.",
                    "The second cup is little more than hot water.",
                ),
            ),
            Aspect(
                (
                    "The leaves are [whole|large] and unroll nicely in the pot.",
                    "The leaves are well sorted, with no [stems|dust] at the bottom.",
                ),
                (
                    "Half of the pack is [dust|broken stems], and it slips through my strainer.",
                    "The leaves looked [old|gray] and crumbled between my fingers.",
                ),
            ),
            Aspect(
                (
                    "The pack closes tightly and keeps everything [fresh|dry].",
                    "The packaging is [pretty|simple] and uses no plastic at all.",
                ),
                (
                    "The pack does not close again, so everything goes stale [fast|in days].",
                    "The inner bag was [torn|open] when it reached me.",
                ),
            ),
            Aspect(
                (
                    "It forgives me when I let it steep too long.",
                    "It goes [beautifully|well] with a slice of [lemon|ginger cake].",
                ),
                (
                    "It turns harsh if it steeps a [minute|moment] too long.",
                    "It gave me a [headache|dry mouth] on more than one evening.",
                ),
            ),
        ),
    ),
    "shoes": Goods(
        plural=True,
        known="worn",
        products=(
            ("a pair of running shoes", "running shoes"),
            ("a pair of hiking boots", "hiking boots"),
            ("a pair of canvas sneakers", "canvas sneakers"),
            ("a pair of leather loafers", "loafers"),
            ("a pair of winter boots", "winter boots"),
            ("a pair of office shoes", "office shoes"),
            ("a pair of trail shoes", "trail shoes"),
        ),
        reasons=(
            "my old pair had worn through at the heel",
            "I had started to walk to work",
            "I needed something decent for [everyday wear|a trip abroad]",
            "my doctor had told me to stop wearing flat soles",
        ),
        openers=(
            "I have walked [to work and back|around town] in these {noun} for {span}.",
            "These {noun} have seen [rain, gravel, and stairs|plenty of pavement] over {span}.",
            "I am on my feet [all day|for most of the day], and I have worn these {noun} for "
            "{span}.",
        ),
        aspects=(
            Aspect(
                (
                    "They fit [true to size|perfectly], with enough room for my toes.",
                    "My wide feet finally have [space|room] without the heel slipping.",
                ),
                (
                    "They run a full size too [small|narrow], whatever the chart says.",
                    "The heel [rubs|slips] with every step, even with thick socks.",
                ),
            ),
            Aspect(
                (
                    "The soles grip well on wet [stone|tiles|leaves].",
                    "The tread still looks new after [many miles|a hundred miles].",
                ),
                (
                    "The soles are [slippery|like ice] on wet pavement.",
                    "The tread was worn smooth after [a few weeks|ten days].",
                ),
            ),
            Aspect(
                (
                    "The cushioning takes the sting out of hard [floors|pavement].",
                    "My knees feel better after a long day than they have in [years|ages].",
                ),
                (
                    "The cushioning went flat [in no time|at once], and I feel every pebble.",
                    "My arches ache after [an hour|a short walk].",
                ),
            ),
            Aspect(
                (
                    "I needed no time to break them in, and not one blister appeared.",
                    "They were comfortable straight out of the [box|wrapping].",
                ),
                (
                    "I had blisters on both heels after the first [day|outing].",
                    "They are so stiff that breaking them in was [painful|a chore].",
                ),
            ),
            Aspect(
                (
                    "The stitching is [neat|tight], and no glue shows anywhere.",
                    "They look as good now as on the day they [came|arrived].",
                ),
                (
                    "The upper began to [peel away|come off] from the sole near the toe.",
                    "The stitching [frayed|opened] along one side within weeks.",
                ),
            ),
            Aspect(
                (
                    "They are so light that I [pack|take] them on every trip.",
                    "The color goes with [almost everything|most of what] I own.",
                ),
                (
                    "They are heavy, and my legs feel it on the [stairs|way home].",
                    "The color is much [brighter|darker] than in the pictures.",
                ),
            ),
        ),
    ),
    "lamps": Goods(
        plural=False,
        known="owned",
        products=(
            ("a desk lamp", "desk lamp"),
            ("a floor lamp", "floor lamp"),
            ("a bedside lamp", "bedside lamp"),
            ("a reading lamp", "reading lamp"),
            ("a table lamp", "table lamp"),
            ("a sewing lamp", "sewing lamp"),
            ("an arc lamp", "arc lamp"),
        ),
        reasons=(
            "the ceiling light was too [harsh|weak] for reading",
            "I had moved into a [dark|north-facing] room",
            "my old one had begun to flicker",
            "my eyes were tired every evening",
        ),
        openers=(
            "This {noun} has stood [in our living room|next to my armchair|in my study] for "
            "{span}.",
            "I have [read|worked|drawn] by the light of this {noun} for {span}.",
            "I use this {noun} every evening for [crosswords|knitting|homework with the kids].",
        ),
        aspects=(
            Aspect(
                (
                    "The light is bright enough to [read small print|thread a needle].",
                    "It lights the whole [corner|table] without glaring.",
                ),
                (
                    "The light is so weak that I still need the ceiling lamp.",
                    "It throws a [hard|sharp] glare straight into my eyes.",
                ),
            ),
            Aspect(
                (
                    "The tone is warm and makes the room feel [calm|cozy].",
                    "Colors look [true|natural] under it, which matters for my work.",
                ),
                (
                    "The light has a [bluish|greenish] tint that makes everyone look ill.",
                    "It [flickers|hums] faintly, and I notice it all evening.",
                ),
            ),
            Aspect(
                (
                    "The arm moves smoothly and stays [exactly|just] where I put it.",
                    "The head turns easily, so I can point the light [anywhere|at the wall].",
                ),
                (
                    "The arm sinks [slowly|bit by bit] until the lamp points at the floor.",
                    "The joint was loose from the start and cannot be tightened.",
                ),
            ),
            Aspect(
                (
                    "The base is heavy, and even our [cat|dog] has not knocked it over.",
                    "It stands firmly on [carpet|an uneven floor] and takes up little room.",
                ),
                (
                    "The base is too light, and it tips over at the slightest [nudge|touch].",
                    "The base left [marks|a ring] on the wood within days.",
                ),
            ),
            Aspect(
                (
                    "The dimmer works in [fine|smooth] steps down to a soft glow.",
                    "The switch is [large|well placed] and easy to find in the dark.",
                ),
                (
                    "The switch is hidden [behind the base|on the cord], where I never find it.",
                    "The dimmer has [two|only two] useful settings, and the rest look the same.",
                ),
            ),
            Aspect(
                (
                    "Putting it together took [five|ten] minutes and no tools.",
                    "The finish looks far more expensive than it [is|was].",
                ),
                (
                    "The screws did not fit, and putting it together took a whole [hour|evening].",
                    "The shade arrived with a [dent|scratch] and sits crooked.",
                ),
            ),
        ),
    ),
    "backpacks": Goods(
        plural=False,
        known="carried",
        products=(
            ("a hiking backpack", "hiking backpack"),
            ("a laptop backpack", "laptop backpack"),
            ("a school backpack", "school backpack"),
            ("a travel backpack", "travel backpack"),
            ("a cycling backpack", "cycling backpack"),
            ("a roll-top backpack", "roll-top backpack"),
            ("a small day pack", "day pack"),
        ),
        reasons=(
            "the zipper of my old one had given up",
            "I had begun to cycle to work",
            "a shoulder bag was hurting my back",
            "I needed one bag for [work and weekends|short trips|the library]",
        ),
        openers=(
            "I have carried this {noun} [to work|around the city|on day trips] for {span}.",
            "This {noun} has been through [buses, trains, and rain|airports and rain|a lot] over "
            "{span}.",
            "My load is usually [a laptop, lunch, and a sweater|books and a water bottle], and I "
            "have carried it in this {noun} for {span}.",
        ),
        aspects=(
            Aspect(
                (
                    "The straps are wide and never [dig in|cut into my shoulders].",
                    "The weight sits close to the back, so a full load feels [light|easy].",
                ),
                (
                    "The straps [dig into|cut] my shoulders after ten minutes.",
                    "The straps loosen by themselves, and I keep pulling them [tight|back].",
                ),
            ),
            Aspect(
                (
                    "The zippers run smoothly, even around the [corners|curves].",
                    "Every zipper has a [large|solid] pull that works with gloves.",
                ),
                (
                    "The main zipper [jams|snags] on the lining every single time.",
                    "One of the zipper pulls [broke off|snapped] in the first week.",
                ),
            ),
            Aspect(
                (
                    "There is a pocket for everything, and I never have to [dig|search].",
                    "The side pockets hold a [big|tall] bottle without letting it fall out.",
                ),
                (
                    "The pockets are so [shallow|tight] that my phone falls out or does not fit.",
                    "There is a single large compartment, and everything ends up in a [heap|mess].",
                ),
            ),
            Aspect(
                (
                    "My things stayed dry in [a heavy shower|an hour of steady rain].",
                    "Water simply runs off the [fabric|outside].",
                ),
                (
                    "My [papers|books] got wet in a light drizzle.",
                    "Rain seeps through the seams at the [bottom|top].",
                ),
            ),
            Aspect(
                (
                    "The back panel lets air through, even on [hot days|steep climbs].",
                    "The padding at the back is [firm|thick] and keeps its shape.",
                ),
                (
                    "The back panel traps heat, and my shirt is soaked [every day|in no time].",
                    "The padding is so thin that I feel every [corner|book] inside.",
                ),
            ),
            Aspect(
                (
                    "It holds far more than one would think.",
                    "The fabric shows no [scuffs|wear], although I am not careful with it.",
                ),
                (
                    "It is much smaller than described, and a [folder|lunch box] barely fits.",
                    "The fabric started to [fray|pill] where it touches my coat.",
                ),
            ),
        ),
    ),
    "games": Goods(
        plural=False,
        known="played",
        products=(
            ("a cooperative board game", "board game"),
            ("a card game", "card game"),
            ("a dice game", "dice game"),
            ("a tile-laying game", "tile game"),
            ("a trivia game", "trivia game"),
            ("a word game", "word game"),
            ("a strategy game", "strategy game"),
        ),
        reasons=(
            "we wanted something for [rainy Sundays|long winter evenings]",
            "the kids had grown out of our old favorites",
            "we needed something that [two|five] people could play",
            "friends were coming over for the weekend",
        ),
        openers=(
            "We have played this {noun} [about a dozen times|every Friday] over {span}.",
            "I tried this {noun} with [two teenagers|my parents|a group of colleagues].",
            "This {noun} has come out at [every family visit|our game night] for {span}.",
        ),
        aspects=(
            Aspect(
                (
                    "The rules take [five|ten] minutes to explain, and then it just flows.",
                    "The rule book is [short|well written] and answers every question we had.",
                ),
                (
                    "The rules are so [vague|muddled] that we argued about every turn.",
                    "The rule book skips the setup, and we had to [guess|search online].",
                ),
            ),
            Aspect(
                (
                    "A round is over in [half an hour|forty minutes], which is just right for us.",
                    "Nobody waits long for a turn, so everyone stays [awake|at the table].",
                ),
                (
                    "A round drags on for [two|three] hours, and the end is clear after one.",
                    "The waiting between turns is so long that people [left|checked their phones].",
                ),
            ),
            Aspect(
                (
                    "The cards and pieces are [thick|sturdy] and pleasant to handle.",
                    "The artwork is [lovely|charming] and full of small jokes.",
                ),
                (
                    "The cards are thin and were [bent|marked] after one evening.",
                    "The colors are so similar that we mix up the [pieces|teams].",
                ),
            ),
            Aspect(
                (
                    "Every round [turns out|feels] different, so we keep coming back.",
                    "There is real [skill|planning] in it, and luck only adds spice.",
                ),
                (
                    "After [two|three] rounds we had seen everything it offers.",
                    "Luck decides [everything|the winner], and planning is pointless.",
                ),
            ),
            Aspect(
                (
                    "It works just as well with two players as with [four|five].",
                    "Adults and children have [the same|an equal] chance of winning.",
                ),
                (
                    "It is dull with two players, although the box [claims|says] otherwise.",
                    "Younger players were lost and [bored|gave up] within minutes.",
                ),
            ),
            Aspect(
                (
                    "Everything has its place in the box, and setup is [quick|painless].",
                    "There was a lot of [laughter|friendly shouting] around our table.",
                ),
                (
                    "Two [pieces|cards] were missing when we opened the box.",
                    "Setting it up and packing it away takes [forever|half the evening].",
                ),
            ),
        ),
    ),
    "blankets": Goods(
        plural=False,
        known="owned",
        products=(
            ("a wool blanket", "wool blanket"),
            ("a winter duvet", "winter duvet"),
            ("a fleece throw", "fleece throw"),
            ("a quilted bedspread", "bedspread"),
            ("a weighted blanket", "weighted blanket"),
            ("a cotton blanket", "cotton blanket"),
            ("a down comforter", "comforter"),
        ),
        reasons=(
            "our bedroom is the coldest room in the house",
            "the old one had gone thin and lumpy",
            "we had bought a larger bed",
            "I wanted something [soft|warm] for the sofa",
        ),
        openers=(
            "I have slept under this {noun} for {span}.",
            "This {noun} has been on [our bed|the guest bed|the sofa] for {span}.",
            "We keep the heating low, so this {noun} was needed [every night|from day one].",
        ),
        aspects=(
            Aspect(
                (
                    "It keeps me warm on [frosty|cold] nights without making me sweat.",
                    "The warmth builds up [quickly|gently] and stays until morning.",
                ),
                (
                    "It gives hardly any warmth, and I [still need|went back to] a second layer.",
                    "I wake up [sweating|too hot] because no air gets through.",
                ),
            ),
            Aspect(
                (
                    "It is [wonderfully|very] soft against bare skin.",
                    "The fabric feels smooth and makes no [rustling|crackling] sound.",
                ),
                (
                    "It is [scratchy|itchy], even through pajamas.",
                    "The fabric crackles with [static|every move] and clings to everything.",
                ),
            ),
            Aspect(
                (
                    "It came out of the wash as [fluffy|soft] as it went in.",
                    "It has been washed [three|four] times and has not shrunk at all.",
                ),
                (
                    "It shrank by a [hand's width|good bit] in the first wash.",
                    "It sheds [lint|fluff] on every dark piece of clothing we own.",
                ),
            ),
            Aspect(
                (
                    "The stitching is even, and the filling stays [where it belongs|in place].",
                    "The edges are [neatly|carefully] finished with a double seam.",
                ),
                (
                    "The filling slides into the corners and leaves [cold|empty] patches.",
                    "The seam opened at one corner after [a few nights|a week].",
                ),
            ),
            Aspect(
                (
                    "It is large enough for [two people|both of us] with some to spare.",
                    "The weight is [pleasant|just right] and never feels like a burden.",
                ),
                (
                    "It is shorter than the label says, so my feet stick out.",
                    "It is so heavy that turning over is [work|an effort].",
                ),
            ),
            Aspect(
                (
                    "The color is [deep|calm] and matches the photographs.",
                    "There was no smell at all when I [unpacked|unrolled] it.",
                ),
                (
                    "The color [faded|bled] in the wash and looks tired now.",
                    "A chemical smell hung around for [days|two weeks] after unpacking.",
                ),
            ),
        ),
    ),
    "garden tools": Goods(
        plural=False,
        known="used",
        products=(
            ("a hand trowel", "trowel"),
            ("a garden fork", "garden fork"),
            ("a digging spade", "spade"),
            ("a long-handled hoe", "hoe"),
            ("a weeding fork", "weeding fork"),
            ("a hand cultivator", "cultivator"),
            ("a planting shovel", "planting shovel"),
        ),
        reasons=(
            "my old one had snapped at the neck",
            "we had taken over a small [allotment|vegetable plot]",
            "the soil here is full of [stones|roots]",
            "I wanted to dig a new [flower|vegetable] bed",
        ),
        openers=(
            "I have worked [in the vegetable beds|along the hedge|in our clay soil] with this "
            "{noun} for {span}.",
            "This {noun} has had a [hard|busy] season in our [garden|backyard].",
            "My back is not what it was, so I chose this {noun} [with care|after some thought].",
        ),
        aspects=(
            Aspect(
                (
                    "The handle is smooth and fits my [hand|grip] without causing blisters.",
                    "The grip stays [dry|firm] even when my gloves are muddy.",
                ),
                (
                    "The handle gave me [blisters|splinters] on the first afternoon.",
                    "The rubber grip twists around as soon as it gets [wet|warm].",
                ),
            ),
            Aspect(
                (
                    "The metal is thick and did not bend when I hit a [root|stone].",
                    "It levers out deep roots without [flexing|complaint].",
                ),
                (
                    "The metal bent at the first [stone|stubborn root].",
                    "The tip is so [soft|thin] that it folds over in dry ground.",
                ),
            ),
            Aspect(
                (
                    "There is no trace of rust, although I left it out in the [rain|dew].",
                    "Soil falls off the [coated|polished] surface, so cleaning is easy.",
                ),
                (
                    "It was covered in rust after [one wet night|a few rainy days].",
                    "The coating flaked off and left [bits|flecks] in the soil.",
                ),
            ),
            Aspect(
                (
                    "It is light enough to use for a whole [morning|afternoon].",
                    "The balance is good, and my [wrists|shoulders] no longer complain.",
                ),
                (
                    "It is so heavy that I need a [break|rest] every few minutes.",
                    "The balance is off, and it pulls my wrist [down|to one side].",
                ),
            ),
            Aspect(
                (
                    "It goes into hard ground [like butter|with little effort].",
                    "The edge came sharp and has stayed [sharp|that way].",
                ),
                (
                    "It only scratches the surface unless the ground is [wet|soft].",
                    "The edge was blunt on arrival and needed [filing|an hour with a file].",
                ),
            ),
            Aspect(
                (
                    "The joint between head and handle is [rock solid|firm] after all that work.",
                    "The length suits my height, so I do not have to [stoop|kneel].",
                ),
                (
                    "The head [works loose|wobbles] after every few minutes of digging.",
                    "The handle is too short for anyone above average [height|size].",
                ),
            ),
        ),
    ),
    "notebooks": Goods(
        plural=False,
        known="used",
        products=(
            ("a dotted notebook", "dotted notebook"),
            ("a hardback journal", "journal"),
            ("a sketchbook", "sketchbook"),
            ("a pocket notebook", "pocket notebook"),
            ("a weekly planner", "planner"),
            ("a lined notebook", "lined notebook"),
            ("a travel diary", "travel diary"),
        ),
        reasons=(
            "I had filled the last page of my old one",
            "I wanted to spend less time on my phone",
            "my loose sheets kept getting lost",
            "I had started a new [course|job|hobby]",
        ),
        openers=(
            "I have written in this {noun} [every morning|each evening|between meetings] for "
            "{span}.",
            "This {noun} has traveled in my [bag|coat pocket] for {span}.",
            "I write with a [fountain pen|soft pencil|gel pen], and this {noun} is about half "
            "full.",
        ),
        aspects=(
            Aspect(
                (
                    "Ink does not [bleed|show] through, not even from a wet pen.",
                    "The paper is smooth and a [joy|pleasure] to write on.",
                ),
                (
                    "Ink [bleeds|soaks] through, so I can only use one side of each page.",
                    "The paper is rough and catches the [nib|tip] of my pen.",
                ),
            ),
            Aspect(
                (
                    "It lies flat at any page without [breaking|cracking] the spine.",
                    "The binding is tight, and no page has come [loose|out].",
                ),
                (
                    "It snaps shut unless I hold it down with [one hand|my elbow].",
                    "Pages began to fall out after [a week|two weeks].",
                ),
            ),
            Aspect(
                (
                    "The cover is [sturdy|firm] enough to write on my knees.",
                    "The cover shrugs off [coffee|water] and still looks new.",
                ),
                (
                    "The cover curled up at the corners after a few days in my bag.",
                    "The cover picks up every [fingerprint|scratch] and looks shabby.",
                ),
            ),
            Aspect(
                (
                    "The page layout leaves room for [notes|lists] in the margin.",
                    "The printing is [faint|light] enough to guide the hand without distracting.",
                ),
                (
                    "The printing is so dark that it [drowns|competes with] my writing.",
                    "The layout wastes half of every page on [empty boxes|a large header].",
                ),
            ),
            Aspect(
                (
                    "The elastic band is still tight and keeps everything [together|closed].",
                    "The pocket at the back is handy for [receipts|tickets|stamps].",
                ),
                (
                    "The elastic band had gone slack before I reached page [twenty|thirty].",
                    "The ribbon [frayed|came off] almost immediately.",
                ),
            ),
            Aspect(
                (
                    "The size is ideal for [a small bag|trains and cafes].",
                    "There are plenty of pages, so it will last me [until summer|all year].",
                ),
                (
                    "It is bulkier than the pictures suggest and does not fit my [bag|pocket].",
                    "There are so few pages that I need a new one [every month|already].",
                ),
            ),
        ),
    ),
    "coffee machines": Goods(
        plural=False,
        known="owned",
        products=(
            ("a drip coffee maker", "coffee maker"),
            ("an espresso machine", "espresso machine"),
            ("a filter coffee machine", "filter machine"),
            ("a compact coffee machine", "compact coffee machine"),
            ("a programmable coffee maker", "programmable coffee maker"),
            ("a large coffee machine", "large coffee machine"),
            ("a bean-to-cup machine", "bean-to-cup machine"),
        ),
        reasons=(
            "our old one had begun to leak",
            "I was spending too much at the cafe downstairs",
            "we work from home [three|four] days a week now",
            "my old one made [weak|lukewarm] coffee at best",
        ),
        openers=(
            "This {noun} has made [our breakfast coffee|two pots a day] for {span}.",
            "I have used this {noun} [twice a day|every single morning] for {span}.",
            "There are [four|six] coffee drinkers here, and this {noun} runs all day.",
        ),
        aspects=(
            Aspect(
                (
                    "The coffee tastes [rich and balanced|better than at the cafe].",
                    "Even cheap beans come out with a [full|rounded] flavor.",
                ),
                (
                    "The coffee tastes [watery|burnt], whichever beans I use.",
                    "Every cup has a faint taste of [plastic|metal].",
                ),
            ),
            Aspect(
                (
                    "It runs so quietly that nobody [wakes up|looks up].",
                    "The first cup is ready before my [toast|porridge] is.",
                ),
                (
                    "It is so loud that we cannot [talk|hear the radio] while it runs.",
                    "It needs [eight|ten] minutes for a single cup.",
                ),
            ),
            Aspect(
                (
                    "All parts come off easily and go in the [dishwasher|sink].",
                    "The descaling program is [simple|short] and really works.",
                ),
                (
                    "Old grounds collect in a corner that no [brush|finger] can reach.",
                    "The cleaning light comes on every [second|other] day.",
                ),
            ),
            Aspect(
                (
                    "The water tank is large and can be filled [from the front|at the tap].",
                    "The jug pours cleanly and keeps the coffee hot for [an hour|hours].",
                ),
                (
                    "The water tank leaks a [small puddle|little] onto the counter.",
                    "The jug drips over [everything|my hand] with each cup I pour.",
                ),
            ),
            Aspect(
                (
                    "There are just [two|three] buttons, and each does what it says.",
                    "The timer is easy to set and has never [failed|let me down].",
                ),
                (
                    "The menu is so confusing that I keep the manual [next to it|at hand].",
                    "The timer forgets its setting whenever the [power fails|plug is pulled].",
                ),
            ),
            Aspect(
                (
                    "It takes up little room and fits under our [shelf|cabinet].",
                    "It feels solid, and nothing rattles or [creaks|wobbles].",
                ),
                (
                    "It is so [tall|wide] that it has to live on the floor of the pantry.",
                    "The plastic feels brittle, and the lid has [cracked|split] already.",
                ),
            ),
        ),
    ),
    "jackets": Goods(
        plural=False,
        known="worn",
        products=(
            ("a rain jacket", "rain jacket"),
            ("a down jacket", "down jacket"),
            ("a cycling jacket", "cycling jacket"),
            ("a winter parka", "parka"),
            ("a softshell jacket", "softshell jacket"),
            ("a light windbreaker", "windbreaker"),
            ("a waxed cotton jacket", "waxed jacket"),
        ),
        reasons=(
            "my old one no longer kept the weather out",
            "we were planning a week in the mountains",
            "I had moved to a [windy|colder] town",
            "I needed something for [early dog walks|the bike ride to work]",
        ),
        openers=(
            "I have worn this {noun} [on dog walks|on the way to work|by the sea] for {span}.",
            "This {noun} has been my [everyday|only] coat for {span}.",
            "I spend a lot of time outdoors and have had this {noun} for {span}.",
        ),
        aspects=(
            Aspect(
                (
                    "The zipper runs smoothly and never catches the [lining|flap].",
                    "The double zipper is easy to [close|handle], even with cold fingers.",
                ),
                (
                    "The zipper sticks halfway up nearly every [time|morning].",
                    "The zipper [split|came apart] within two weeks.",
                ),
            ),
            Aspect(
                (
                    "It kept me [dry|warm] through an hour of sleet.",
                    "Not a breath of wind gets through, even [by the sea|on the bike].",
                ),
                (
                    "Water came through at the shoulders in the first [shower|storm].",
                    "The wind goes [straight|right] through it, and I was shivering.",
                ),
            ),
            Aspect(
                (
                    "The hood stays up in the wind and still lets me [see|look around].",
                    "The collar is high and [soft|lined], so I need no scarf.",
                ),
                (
                    "The hood falls over my eyes or blows off at the first [gust|breeze].",
                    "The collar scratches my [chin|neck] all day long.",
                ),
            ),
            Aspect(
                (
                    "The pockets are deep, warm, and [well placed|easy to reach].",
                    "There is an inside pocket that takes a [book|map|wallet] with ease.",
                ),
                (
                    "The pockets are so small that my [gloves|keys] fall out.",
                    "The pocket lining [tore|ripped] within days.",
                ),
            ),
            Aspect(
                (
                    "The cut leaves room for a sweater and still looks [neat|trim].",
                    "The sleeves are long enough, even when I [stretch|ride a bike].",
                ),
                (
                    "The sleeves end well above my wrists, although the size was [right|correct].",
                    "The cut is [boxy|odd] and makes it hard to raise my arms.",
                ),
            ),
            Aspect(
                (
                    "It came out of the washing machine as good as [new|before].",
                    "It folds up small and weighs [next to nothing|very little].",
                ),
                (
                    "The coating [peeled|cracked] after one gentle wash.",
                    "It rustles so loudly that I [hear|notice] nothing else.",
                ),
            ),
        ),
    ),
    "keyboards": Goods(
        plural=False,
        known="used",
        products=(
            ("a wireless keyboard", "wireless keyboard"),
            ("a mechanical keyboard", "mechanical keyboard"),
            ("a compact keyboard", "compact keyboard"),
            ("an ergonomic keyboard", "ergonomic keyboard"),
            ("a split keyboard", "split keyboard"),
            ("a low-profile keyboard", "low-profile keyboard"),
            ("a full-size keyboard", "full-size keyboard"),
        ),
        reasons=(
            "tea had ended up in my old one",
            "my wrists were sore after work",
            "I had set up a desk at home",
            "the keys of my old one had begun to stick",
        ),
        openers=(
            "I type for a living and have used this {noun} for {span}.",
            "This {noun} has been on my desk [at home|at the office] for {span}.",
            "I have written [two long reports|most of a thesis|hundreds of emails] on this {noun}.",
        ),
        aspects=(
            Aspect(
                (
                    "The keys have a [crisp|springy] feel, and I make fewer mistakes.",
                    "Typing on it is so pleasant that I look for [excuses|reasons] to write.",
                ),
                (
                    "The keys feel [mushy|spongy], and I never know whether one was pressed.",
                    "Some keys register [twice|late], so every sentence has typos.",
                ),
            ),
            Aspect(
                (
                    "It is quiet enough for [a shared office|late evenings].",
                    "The sound of the keys is soft and almost [soothing|pleasant].",
                ),
                (
                    "The clatter is so loud that my colleagues [complained|moved away].",
                    "The space bar [squeaks|rattles] with every press.",
                ),
            ),
            Aspect(
                (
                    "It connects at once and has never [lagged|lost a key press].",
                    "One charge has lasted for [many days|weeks], and it is still going.",
                ),
                (
                    "It loses the connection whenever my laptop [wakes up|goes to sleep].",
                    "The batteries were empty after [nine|ten] days.",
                ),
            ),
            Aspect(
                (
                    "The layout is sensible, and my fingers found everything [at once|in a day].",
                    "The angle is gentle, and my wrists [no longer hurt|feel fine].",
                ),
                (
                    "The arrow keys are tiny and in the wrong [place|corner].",
                    "The edge in front is so high that my wrists [ache|hurt] by noon.",
                ),
            ),
            Aspect(
                (
                    "The frame is [stiff|heavy] and does not slide across the desk.",
                    "It feels as if it could [last|survive] for twenty years.",
                ),
                (
                    "The frame bends in the middle when I type [fast|hard].",
                    "The rubber feet came off in the first [week|days].",
                ),
            ),
            Aspect(
                (
                    "The letters are [large|clear] and show no sign of wear.",
                    "Crumbs are easy to shake out, and the key caps come off [easily|too].",
                ),
                (
                    "The letters on the most common keys have [worn off|faded] already.",
                    "Dust gathers between the keys and is [hard|impossible] to get out.",
                ),
            ),
        ),
    ),
}
