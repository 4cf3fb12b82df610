"""English as commit messages use it: which words say nothing, which are orders, and what is left of a word as a stem."""

import re


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMPERATIVES = word_set(
    """
    abort accept access activate adapt add adjust adopt advance align allow animate annotate append apply ask assert
    assign attach avoid backport batch bind block bound branch break bring build bump bundle bypass cache calculate
    call cancel cap capture cast catch change check clarify clean clear clone close collapse collect combine compare
    compile complete compress compute configure confirm connect consider consolidate construct continue convert copy
    correct count cover crash create customize cut debug decode decouple decrease deduplicate default defer define
    delay delegate delete deliver deny deploy deprecate derive describe detect determine dim disable discard display
    dispose divide document downgrade draw drop dump duplicate edit elide eliminate embed emit enable encode enforce
    ensure enter escape evaluate exceed exclude execute exit expand expect explain export expose extend extract fail
    fall feed fetch fill filter find finish fix flatten flush focus follow forbid force format forward free freeze
    generate get give go group guard handle harden hash help hide hint hold honor honour hook identify ignore
    implement import improve include increase indent index infer inform inherit initialize inject inline insert
    install instrument integrate introduce invalidate invert invoke isolate iterate join judge keep kill label
    launch leave let lift limit link list listen load localize lock log look lower make manage map mark match
    measure mention merge migrate minify mirror mock modernize modify mount move mute name narrow negate normalize
    note notify nudge obtain offer omit open optimize order organize override pad parse pass patch perform persist
    pick pin place point poll populate port postpone prefer prefix prepare preserve prevent print prioritize proceed
    process produce promote propagate protect prove provide prune publish pull purge push put query queue quote
    raise randomize re-enable reach read rearrange rebase rebuild recognize recommend reconnect record recover
    redirect reduce refactor refer reference refine reflect reformat refresh refuse regenerate register reject relax
    release relocate rely remember remove rename render reopen reorder reorganize repair repeat replace report
    represent request require reset reshape resize resolve respect respond restart restore restrict restructure
    retain rethrow retry return reuse revert revise rework rewrite rotate round route run sanitize save say scale
    schedule scope seal search seed select send separate serialize serve set share shift ship shorten show shrink
    shut silence simplify sit skip snap sort specify speed split stabilize stack stage standardize start state stay
    stop store stream streamline strip style submit substitute succeed suggest support suppress swap switch sync
    synchronize take teach tell terminate test thread throttle throw tidy tighten time toggle tolerate touch trace
    track transform translate treat trigger trim truncate try tune turn tweak type unblock undo unify uninstall
    unpack unpin unset unwrap update upgrade upload use validate vendor verify version wait walk warn watch weaken
    widen wire work wrap write yield zip
    """
)
"""Verbs that an order in a commit message begins with."""

_FURTHER = word_set("autodetect cleanup do don't dont setup typecheck")
"""What stands for an order without being one in a dictionary: `do not`, and nouns that people write for verbs."""

EMPTY_WORDS = word_set(
    """
    a about after again all also an and any are as at avoid be because been before being better both but by can
    change code correct do does doing during each ensure etc every few file files fix for from get had has have how
    if improve in instead into is issue it its just make more most new no nor not now of off on once only or other
    our out over own problem properly same should simplify so some still such support than that the their them then
    there these they this those through to too under until up update use used using very via was we were what when
    where which while who why will with without work you your
    """
)
"""Words that a diff need not hold for the message to be about it."""

PREPOSITIONS = word_set(
    """
    about after against as at because before between by during for from if in inside into like of off on onto outside
    over since so than that through to toward towards under unless until upon via when where whether which while with
    within without
    """
)
"""What never ends a sentence, and never follows a verb that takes an object."""

AUXILIARIES = word_set(
    """
    am are being can can't cannot could couldn't did didn't do does doesn't don't had has have is isn't may might must
    no not should shouldn't was wasn't were weren't will won't would
    """
)
"""Verbs that make a statement of a sentence, and what denies one."""

ONLY_VERBS = word_set(
    """
    accept add allow apply avoid become clean cleanup delete detect disable display enable ensure exclude fail generate
    get give handle ignore include initialize keep make obtain parse prevent provide receive remove resolve respect set
    show throw treat try use
    """
)
"""Verbs that are hardly ever read as nouns: after an order they are a second one."""

TAKES_AN_OBJECT = word_set(
    """
    add avoid correct delete disable drop enable exclude expose fix implement improve include introduce prevent remove
    rename replace support test update
    """
)
"""Orders whose object follows at once."""

STATEMENTS = word_set(
    """
    adds allows becomes breaks causes contains crashes doesn't ensures expects fails gets handles makes needs preserves
    prevents removes requires throws works
    """
)
"""Verbs as statements have them: the subject is the program, and nobody is told to do anything."""

RATHER_NOUNS = word_set(
    """
    access append block cache call default display dump duplicate filter focus guard hash hook host index inline label
    layout limit list load lock map mock name order patch place plan point port prefix process query queue range
    record release render report request review route sample schedule scope search stack stage state store stream
    style suffix thread time title trace truncate type version work
    """
)
"""Orders that are more often nouns, unless an article, a pronoun or a preposition follows."""

COMMON_MISSPELLINGS = word_set(
    """
    acces accomodate loggin adress agument analysation aparent apparantly arguement asyncronous availabe availible begining
    bevore builin calender catagory commited commiting compability comparision compatability compatiblity conditon
    configuraiton configurate conjuction consistant continous controler definately defualt deliminator dependancies
    dependancy dependecies dependecy deprected depricated descripton discrepency doesnt dont enconded enviroment
    enviroments exection exisiting existance experiemental experimantal explicitely expresion fucntion funciton
    genereate guarentee heigth hte immediatly implemenation implementaion implmentation incompatability incorect
    independant inital initalize initialse insted intial langauge lenght libary maintainance mantain messsage
    mircotask missin neccessary necessery notificatioin occassion occured occurence occurences occuring offical
    ommit ommited overides paramater paramaters paramter paramters parrallel persistant plaform posible positon
    prefered preferrable preperation priviledge processsing recieve recieved recieving recomended recommand refered
    reffer reponse reponsive reponsiveness repsonse requirment resouce retreive retrive retrys retuns seperate
    seperated seperately seperation seperatly seperator serialze similiar specifc specifed succesful succesfully
    succesor successfull suppport supress supressed syncronize syncronous teh temporarly throught thru timeouted
    transfered truely udpate unecessary unneccessary unsuported untill upgrage usefull verison visable wether whem
    whith widht wierd
    """
)
"""Slips of the pen that commit messages are full of."""

_NOT_IN_ORDERS = re.compile(r"(?:[a-z]{3,}(?:ed|ing)|[a-z]{2,}[^s'iu]s)$")
_ENDINGS = re.compile(
    r"(?:izations?|isations?|ations?|ments?|ings?|ities|ness|ances?|ences?|able|ible|ally|ers?|ors?|ies|ied"
    r"|ed|es|ly|al|s|e|y)$"
)


def is_order(word: str) -> bool | None:
    """Whether `word` is a verb in the imperative; None when that cannot be told from the word alone."""
    if word in IMPERATIVES or word in _FURTHER or word.removeprefix("re").lstrip("-") in IMPERATIVES:
        return True
    if word in EMPTY_WORDS or _NOT_IN_ORDERS.search(word):
        return False
    return None


def stem(word: str) -> str:
    """Return what inflections of a word have in common (at least three letters), good enough to look for in a diff.

    No dictionary: `caching`, `cached` and `caches` become `cach`.
    """
    shorter = _ENDINGS.sub("", word)
    if len(shorter) >= 4 and shorter[-1] == shorter[-2] and shorter[-1] not in "ls":
        shorter = shorter[:-1]
    return shorter if len(shorter) >= 3 else word
