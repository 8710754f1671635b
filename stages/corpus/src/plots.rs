//! Plots of the story generator. A plot is a list of parts; a part lists its variants, one of which is drawn.
//!
//! In a variant `[a|b]` draws one side, `{hero}` is a person of the story, `{animal}` draws from the list of that name,
//! `{1:toy}` draws once and gives the same word wherever `{1}` stands. `{a X}` puts "a" or "an" before X.

/// One kind of story: its parts, in order.
pub type Plot = &'static [&'static [&'static str]];

/// How a story about a child or an animal begins.
pub const OPENINGS: &[&str] = &[
    "Once upon a time there was {a kind} {hero_kind} named {hero}. {he} lived {hero_home}.",
    "There once was {a size} {hero_kind} called {hero}, who lived {hero_home}.",
    "{hero} was {a kind} {hero_kind}. {he} lived {hero_home} with {his} {relative}.",
    "{hero_home}, there lived {a kind} {hero_kind}. {his} name was {hero}.",
    "In a land far away lived {hero}, {a kind} and {kind} {hero_kind}.",
    "{hero} the {hero_kind} lived {hero_home}. {he} was always {kind} and {kind}.",
    "Long ago, {a kind} {hero_kind} named {hero} lived {hero_home}.",
];

const DAY: &[&str] = &[
    "{time}, {hero} went to the {place}. {weather}",
    "{time}, {hero} walked to the {place} with {his} friend {friend}. {weather}",
    "{weather} {hero} wanted to go outside, and {time} {he} ran to the {place}.",
    "{time}, {hero} and {friend} met at the {place}. {weather} They played {game}.",
    "{weather} {time}, {hero} put on {his} {colour} coat and went to the {place}.",
    "{time}, {hero} woke up and felt very {happy}. {weather}",
];

const END: &[&str] = &[
    "From that day on, {hero} and {friend} were the best of friends.",
    "That night {hero} slept well and dreamed of the {place}.",
    "{hero} went home and told {his} {relative} everything. They ate {meal} together.",
    "And they all lived happily ever after.",
    "{hero} smiled all the way home.",
    "When the sun went down, {hero} was still {happy}.",
    "Ever since then, {hero} tells this story to everyone at the {place}.",
    "{friend} laughed, and {hero} laughed too. It had been a good day.",
];

/// Something is lost and found again.
const LOST: Plot = &[
    &[
        "{hero} had {a colour} {1:treasure}. It was {a quality} {1}, and {he} [took it everywhere|loved it more than anything|kept it in {his} pocket|showed it to everybody].",
        "{his} {relative} had given {him} {a quality} {1:treasure}. {hero} [never let it go|was very proud of it|looked at it every evening].",
        "The thing {hero} liked best was {his} {colour} {1:toy}. [{he} played with it every day.|It was old but still {quality}.]",
    ],
    DAY,
    &[
        "But when {hero} came back, the {1} was gone. [\"Oh no!\" cried {hero}.|{he} began to cry.|{he} looked everywhere, but {he} could not find it.]",
        "After a while {hero} put {his} hand in {his} pocket. The {1} was not there! {hero} felt very {sad}.",
        "Then {a size} {2:animal} ran by and took the {1}. \"Stop!\" {hero} shouted {loudly}, but the {2} was too fast.",
        "On the way home {hero} heard {noise} and began to run. Only later did {he} see that the {1} was missing.",
    ],
    &[
        "\"Do not be {sad},\" said {friend}. \"I will help you look for it.\" They looked {hidden} and {hidden}, but it was not there.",
        "{hero} asked the {3:helper}. \"Have you seen my {1}?\" \"No,\" said the {3} {softly}, \"but I saw something {quality} near the {place}.\"",
        "{friend} said, \"Let us think. Where did you have it last?\" {hero} thought about it and said, \"At the {place}!\"",
    ],
    &[
        "So they went there, and {hidden} they saw something {colour}. It was the {1}! {hero} [jumped for joy|hugged {friend}|could not believe it].",
        "At last {friend} looked {hidden}. \"Here it is!\" {friend} called. {hero} was so {happy} that {he} danced.",
        "Suddenly {hero} saw it {hidden}. \"My {1}!\" {he} cried. \"Thank you for helping me, {friend}.\"",
    ],
    &["{hero} learned that {lesson_help}.", "\"You see,\" said {friend}, \"{lesson_help}.\"", "After that, {hero} took better care of {his} {1}.", "{hero} gave {friend} {a food} to say thank you."],
    END,
];

/// Somebody will not share, and then does.
const SHARE: Plot = &[
    DAY,
    &[
        "{hero} had {a quality} {1:toy}. {friend} asked {softly}, \"May I play with your {1}?\" \"No,\" said {hero}. \"It is mine!\"",
        "{hero} had a basket with {a size} {1:food} in it. {friend} was hungry and asked, \"Can I have a bit of the {1}?\" But {hero} held it tight and said, \"No, I want it all.\"",
        "{his} {relative} gave {hero} {a colour} {1:toy}. {friend} came and wanted to try it. {hero} hid the {1} {hidden}.",
    ],
    &[
        "{friend} was {sad} and went away. {hero} played alone, but soon it was no fun.",
        "{friend} said nothing and sat down {hidden}. {hero} looked at the {1}. Somehow it was not so {quality} any more.",
        "Then {hero} tripped over a stone, and the {1} fell into the mud. {hero} felt {sad}, and nobody was there to help.",
    ],
    &[
        "The {2:helper} saw it and said {softly}, \"{a 1} is nice, but a friend is nicer. Why don't you share?\"",
        "{his} {relative} sat down beside {him}. \"Do you know,\" {relative_he} said, \"that {lesson_share}?\"",
        "{hero} thought of {friend}, who had once given {him} {a food}. {he} was ashamed.",
    ],
    &[
        "So {hero} went to {friend} and said, \"I am sorry. Let us share the {1}.\" {friend} smiled.",
        "{hero} ran after {friend}. \"Wait!\" {he} called. \"Half of the {1} is for you.\"",
        "{hero} took the {1} and gave it to {friend}. \"You first,\" {he} said {softly}.",
    ],
    &["They [played|laughed|sat together] until the evening.", "It was the best {2:game} that they had ever played.", "{hero} felt warm inside. Now {he} knew that {lesson_share}."],
    END,
];

/// Learning something hard.
const LEARN: Plot = &[
    &[
        "{hero} wanted to learn to {1:skill}. All {his} friends could do it, only {hero} could not.",
        "More than anything {hero} wanted to {1:skill}. \"I am too {size},\" {he} thought.",
        "When {hero} saw {friend} {1:skill}, {he} wished that {he} could do it too.",
    ],
    DAY,
    &[
        "{hero} tried to {1}, but it did not work. {he} tried again and again. Everyone laughed, and {hero} felt {sad}.",
        "First {he} was too slow. Then {he} was too fast. \"I will never learn to {1},\" {hero} said and [sat down|threw {his} hat on the ground|ran home].",
        "The {animal} laughed at {him}. \"You can't {1}!\" it said. {hero}'s face turned red.",
    ],
    &[
        "But {friend} said, \"I could not do it either, at first. Let me show you.\" And {friend} showed {him} how, {softly} and step by step.",
        "The old {2:helper} came by. \"When I was young, I fell a hundred times,\" the {2} said. \"Try it once more, but {softly}.\"",
        "{his} {relative} hugged {him} and said, \"{lesson_try}. Let us practise together.\"",
    ],
    &[
        "{hero} practised every day. In the {place} and at home, in sun and rain, {he} did not give up.",
        "The next day {hero} tried again, and the day after that. Each time it went a little better.",
        "{hero} took a deep breath. {he} closed {his} eyes, and counted to three.",
    ],
    &[
        "And then, {time}, {hero} could {1}! \"Look at me!\" {he} shouted {loudly}.",
        "At last it worked. {hero} could {1} better than anyone. {friend} clapped.",
        "At the {3:feast} everyone watched {hero} {1}. They cheered, and {hero} was very {happy}.",
    ],
    &["{hero} knew now that {lesson_try}.", "\"{lesson_try},\" said {friend}, and {hero} nodded.", "The next week {hero} taught {friend2} to {1} too."],
    END,
];

/// Somebody is in danger and is saved.
const RESCUE: Plot = &[
    DAY,
    &[
        "Suddenly {hero} heard {noise}. {he} [stopped|listened|looked around]. There was {friend2}, in front of {danger}!",
        "On the way they came to {danger}. \"Be careful!\" said {hero}. But {friend2} did not listen.",
        "\"Help! Help!\" somebody cried. It was {friend2} the {2:animal}. {friend2} was caught by {danger} and could not get away.",
    ],
    &[
        "{hero} was {sad}, for {he} was only {a size} {hero_kind}. But there was no time to lose.",
        "\"What shall we do?\" asked {friend}. \"We need {a 3:useful},\" said {hero}. \"Run and get one!\"",
        "{hero} thought {loudly}: what would {his} {relative} do? Then {he} had an idea.",
    ],
    &[
        "{hero} found {a useful} {hidden} and pulled as hard as {he} could. {friend} pulled too.",
        "They ran to the {4:helper} and asked for help. The {4} came at once with {a useful} and {a useful}.",
        "{hero} held out {a useful}. \"Take it and do not let go!\" {he} called. Slowly, slowly, {friend2} came nearer.",
    ],
    &[
        "At last {friend2} was safe. \"You saved me,\" {friend2} said {softly}. \"How can I thank you?\"",
        "With one last pull, {friend2} was free. Everybody cheered for {hero}.",
        "{friend2} was wet and cold, but safe. They wrapped a warm blanket around {friend2} and gave {friend2} warm {meal}.",
    ],
    &["\"{lesson_help},\" said {friend}.", "The whole village heard of it. They gave {hero} {a quality} {treasure}.", "{hero} had learned that {lesson_help}.", "\"Next time I will listen,\" said {friend2}, \"for {lesson_care}.\""],
    END,
];

/// Something breaks, a lie is told, the truth comes out.
const TRUTH: Plot = &[
    &[
        "{his} {relative} had {a quality} {1:treasure}. \"Please do not touch it,\" {relative_he} always said.",
        "In the house of the {2:helper} there was {a colour} {1:treasure}. Everyone admired it.",
        "On the table stood {a quality} {1:treasure}. It was very old.",
    ],
    DAY,
    &[
        "{hero} played {game} inside. {he} jumped too high, and the {1} fell down and broke.",
        "{hero} only wanted to look at the {1}. But it slipped from {his} hand, and there was {noise}. It was broken.",
        "{hero} took the {1} to show it to {friend}. On the way it fell on a stone and cracked.",
    ],
    &[
        "{hero} was {sad}. {he} hid the pieces {hidden}. When they asked, {he} said, \"The {3:pet} did it.\"",
        "\"Who did this?\" they asked. \"It was not me,\" said {hero} and looked at the floor. \"It must have been {friend2}.\"",
        "{hero} ran away and hid {hidden}. {friend2} was blamed for it and had to {job}.",
    ],
    &[
        "That night {hero} could not sleep. {he} thought about it again and again, and {his} stomach hurt.",
        "{friend} had seen everything. \"You must tell them,\" said {friend} {softly}. \"{lesson_truth}.\"",
        "When {hero} saw how {sad} the others were, {he} could not bear it any longer.",
    ],
    &[
        "In the morning {hero} said, \"It was me. I broke the {1}, and I am sorry.\"",
        "{hero} took all {his} courage and told the whole story. It was quiet for a moment.",
        "\"I did not tell the truth,\" said {hero}, and a tear ran down {his} face.",
    ],
    &[
        "\"Thank you for telling me,\" was the answer. \"{a 1} can be mended, and {lesson_truth}.\" Together they glued the pieces.",
        "They were not angry for long. {hero} had to {job} for a week, but {he} felt light and {happy} again.",
        "Everyone forgave {him}, and {hero} said sorry to the others too. {he} never forgot that {lesson_truth}.",
    ],
    END,
];

/// A wish comes true in an unexpected way.
const WISH: Plot = &[
    &[
        "{hero} had one big wish: {he} wanted to {1:wish}. Every night {he} looked out of the window and thought of it.",
        "\"I wish I could {1:wish},\" {hero} often said. The others only laughed.",
        "In {his} dreams, {hero} could {1:wish}. But how could {a hero_kind} ever do that?",
    ],
    DAY,
    &[
        "There {hero} met {a size} {2:animal} with {a colour} {3:treasure}. \"Help me to carry this,\" said the {2}, \"and I will help you too.\"",
        "{hidden} {hero} found {a quality} {3:treasure}. When {he} touched it, {he} heard {noise}. {a 2:animal} came out and said, \"You have one wish.\"",
        "The {2:helper} sat {hidden} and looked {sad}. \"I have lost my {3:treasure},\" said the {2}. \"If you find it, you may have a wish.\"",
    ],
    &[
        "{hero} did not think long. {he} helped the {2} the whole day, though it was hard work.",
        "\"I will,\" said {hero} {softly}. It took a long time, and {his} feet were tired, but {he} did it.",
        "So {hero} and {friend} went over the {place} and through the {place}. They had only {meal} and {a food} to eat.",
    ],
    &[
        "In the evening the {2} smiled. \"And now tell me your wish.\" \"I want to {1},\" said {hero}.",
        "Then the {3} began to shine. The light was {colour}, and the air was full of music.",
        "\"Close your eyes,\" said the {2}. {hero} closed {his} eyes and counted to ten.",
    ],
    &[
        "And it came true! {hero} could {1}. {friend} came too. It was more beautiful than {he} had ever thought.",
        "When {hero} opened {his} eyes, the wish had come true. \"I can't believe it,\" {he} said {softly}.",
        "But {hero} looked at {friend}, who was {sad}, and said, \"I wish that my friend is happy.\" Both of them laughed, and that was better than any wish.",
    ],
    &["{hero} kept the {3} to remember that day.", "\"Thank you,\" said {hero} to the {2}, and gave it {a food}.", "Since that day {hero} believes that wishes can come true for those who are {kind}."],
    END,
];

/// A lazy one and a busy one.
const WORK: Plot = &[
    &[
        "Every day {his} {relative} asked {hero} to {1:job}. But {hero} always said, \"No, {excuse}.\"",
        "{hero} had to {1:job}, but {he} wanted to play {game}. \"Tomorrow,\" said {hero}.",
        "{friend} liked to {1:job}. {hero} did not. \"{excuse},\" said {hero} and lay down in the sun.",
    ],
    DAY,
    &[
        "\"We could {1} together,\" said {friend}. \"{excuse},\" answered {hero} and went away.",
        "Days went by, and nobody did it. Then came the {2:feast}, and all the others went. Only {hero} could not go, because {he} had not done {his} work.",
        "In the night there was a storm. In the morning everything was wet and dirty, and it was twice as much work as before.",
    ],
    &[
        "Now {hero} was {sad}. \"If only I had listened,\" {he} thought.",
        "{hero} looked around and saw what {he} had done. {he} took {a useful} and began to {1}.",
        "\"It is too late,\" cried {hero}. \"No,\" said the {3:helper}, \"it is not too late. Begin with a small piece.\"",
    ],
    &[
        "{friend} saw it and came to help. Then {friend2} came too. They sang while they worked.",
        "It was hard at first, but soon {hero} liked it. {he} sang a song about {a colour} {animal}.",
        "{hero} worked until {his} arms hurt. When {he} looked up, it was all done.",
    ],
    &[
        "In the end they had {meal} and {a size} {food}, and it had never tasted so good.",
        "\"Well done,\" said {his} {relative}. {hero} was very {happy}.",
        "And they were just in time for the {feast}. {hero} danced the whole evening.",
    ],
    &["{hero} saw that {lesson_work}.", "\"I know now,\" said {hero}, \"that {lesson_work}.\"", "From then on, {hero} helped to {job} every day."],
    END,
];

/// A contest that is won or lost.
const CONTEST: Plot = &[
    &[
        "There was going to be a big {1:contest} at the {place}. The prize was {a quality} {2:treasure}. {hero} wanted to win it.",
        "Every year the village had {a 1:contest}. This year {hero} was old enough to take part.",
        "\"I will win the {1:contest},\" said {friend} {loudly}. \"Nobody is better than me.\" {hero} said nothing.",
    ],
    DAY,
    &[
        "{hero} practised from morning to evening. {friend} only laughed and ate {a food}.",
        "The {3:helper} gave {hero} some advice: \"Do not look at the others. Just do your best.\"",
        "On the day of the {1} all the people came. {hero}'s heart beat {loudly}.",
    ],
    &[
        "The {1} began. {friend} was first, and {hero} was far behind.",
        "In the middle of the {1}, {friend} fell into {danger}. \"Help!\" cried {friend}.",
        "Just then {hero} saw {a size} {animal} that was hurt and lay {hidden}.",
    ],
    &[
        "{hero} could have gone on and won. But {he} stopped to help, and the others passed {him}.",
        "{hero} did not give up. {he} thought of what {his} {relative} had said: \"{lesson_try}.\"",
        "\"Winning is not everything,\" thought {hero}, and {he} turned back.",
    ],
    &[
        "{hero} came last, but everyone clapped. The {helper} gave {him} a special prize for being so {kind}.",
        "In the end {hero} won by the length of {a food}. {friend} shook {his} hand and said, \"You were better than me today.\"",
        "{friend2} won the {1}. {hero} was not {sad}, because {he} had made a new friend.",
    ],
    &["\"{lesson_help},\" said the {helper}.", "Everyone agreed that {lesson_try}.", "They put the prize on the table and ate {meal} together."],
    END,
];

/// A new neighbour who seems strange.
const STRANGER: Plot = &[
    &[
        "A new neighbour came to live near {hero}. It was {a size} {1:animal} named {friend}. Nobody talked to {friend}, because {friend} looked so {quality}.",
        "{friend} was new at school. {friend} wore {a colour} hat and spoke {softly}. Nobody wanted to play {game} with {friend}.",
        "In the old house by the {place} lived {a 1:helper}. All the children were afraid of that house.",
    ],
    DAY,
    &[
        "{hero} was afraid too. But then {he} saw that {friend} sat {hidden} and cried.",
        "{hero} lost {his} {2:toy}, and it rolled just to the place where the stranger lived.",
        "The others threw stones and shouted. {hero} did not like that. \"Stop it!\" {he} said {loudly}.",
    ],
    &[
        "{hero} went nearer and said {softly}, \"Hello. I am {hero}. Would you like {a food}?\"",
        "{hero} knocked at the door. It opened, and there was a smell of {meal}. \"Come in,\" said a friendly voice.",
        "\"Why are you so {sad}?\" asked {hero}. \"Because nobody knows me,\" was the answer.",
    ],
    &[
        "They talked the whole afternoon. {hero} heard about a land where even the {animal} could {skill}.",
        "It turned out that {friend} could {skill} and knew a hundred stories. {hero} had never laughed so much.",
        "{friend} showed {him} {a quality} {treasure} and how to {skill}.",
    ],
    &[
        "The next day {hero} brought all the others along. \"This is my friend,\" {he} said.",
        "Soon the whole village came, and there was a big {feast} with {meal} and {meal}.",
        "Now nobody was afraid any more. They were only sorry that they had waited so long.",
    ],
    &["{hero} learned that {lesson_share}.", "One should not judge a book by its cover.", "\"{lesson_help},\" said {his} {relative} in the evening."],
    END,
];

/// A garden or an animal that needs care.
const GROW: Plot = &[
    &[
        "{his} {relative} gave {hero} a seed. \"What will it be?\" asked {hero}. \"Wait and see,\" {relative_he} said.",
        "{hero} found {a size} {2:animal} {hidden}. It was cold and hungry, and it could hardly move.",
        "{hero} wanted to have a garden with {a plant} and {a plant}. But the ground was dry and full of stones.",
    ],
    DAY,
    &[
        "{hero} took {a useful} and began. {he} worked {softly} and gave water every morning.",
        "\"You have to take care of it every day,\" said the {3:helper}. \"Even when it rains. Even when you are tired.\"",
        "{friend} thought it was silly. \"Nothing will come of it,\" said {friend}. \"Let us play {game}.\"",
    ],
    &[
        "Days passed, and nothing happened. {hero} was {sad}. Was it all for nothing?",
        "One night there was frost. {hero} got up and put {a useful} and a blanket over it.",
        "{hero} gave it milk and sang to it. {he} did not go to the {feast}, because {he} did not want to leave it alone.",
    ],
    &[
        "And then, {time}, there was something {colour} and {quality}. {hero} shouted {loudly}, \"Come and look!\"",
        "Little by little it grew, and it grew, until it was as {size} as {hero}.",
        "{time} it was strong and well. {hero} laughed and cried at the same time.",
    ],
    &[
        "{friend} was surprised. \"I was wrong,\" said {friend}. \"Can you show me how you did it?\"",
        "Everyone came to see it. {hero} gave each of them {a plant}.",
        "\"It is the most {quality} thing that I have ever seen,\" said the {helper}.",
    ],
    &["\"{lesson_try},\" said {his} {relative}.", "{hero} knew that {lesson_work}.", "It was a small thing, but {hero} had done it all alone."],
    END,
];

/// A journey too far from home.
const JOURNEY: Plot = &[
    &[
        "\"Do not go past the {1:place},\" {his} {relative} always said. But {hero} wanted to {wish}.",
        "{hero} was tired of home. \"Today I will go to the other side of the {1:place},\" {he} told {friend}.",
        "{friend} had heard that there was {a quality} {2:treasure} behind the {1:place}. \"Let us find it,\" said {hero}.",
    ],
    DAY,
    &[
        "They walked and walked, past {a size} {plant} and over a stream. Soon nothing looked the way they knew it.",
        "At the {1} {a 3:animal} sat {hidden}. \"Turn back,\" said the {3}. But {hero} only laughed.",
        "{hero} took {a food}, {meal} and {a useful}. The road was long and went up and down.",
    ],
    &[
        "Then it grew dark. They heard {noise}, and {hero} was {sad}. \"I want to go home,\" {he} said {softly}.",
        "All at once they stood before {danger}. They could not go on and did not know the way back.",
        "It began to rain, and their feet were wet. {friend} had lost a shoe.",
    ],
    &[
        "\"Let us stay together and think,\" said {friend}. \"We can follow the [river|stars|wall|smell of {meal}].\"",
        "Far away they saw a light. It was the house of {a 4:helper}, who gave them {meal} and showed them the way.",
        "{a 4:animal} that {hero} had once helped flew over them. \"Follow me,\" it called.",
    ],
    &[
        "Late in the night they came home. {his} {relative} held {hero} tight and did not even scold.",
        "When they saw the {place} again, they began to run. How good it was to be home!",
        "At home there was a warm bed and {meal}. {hero} had never been so {happy} to see {his} room.",
    ],
    &["{hero} knew now that {lesson_care}.", "\"{lesson_care},\" said {hero}, \"but what a journey it was!\"", "The {2:treasure} they never found, but they had found out that {lesson_help}."],
    END,
];

/// A trick that goes wrong.
const TRICK: Plot = &[
    &[
        "{hero} liked to play tricks. Once {he} put {a food} in the shoe of {friend}.",
        "{hero} thought that {he} was the cleverest of all. {he} laughed at {friend}, who was a bit slow.",
        "Every day {hero} shouted, \"Help, there is {1:danger}!\" When the others came running, {he} laughed.",
    ],
    DAY,
    &[
        "This time {he} hid the {2:treasure} of the {3:helper} {hidden}. The {3} looked for it everywhere.",
        "{he} painted {a 2:useful} {colour} and told everyone that it was magic.",
        "{he} told {friend2} that there was {a 2:treasure} {hidden}. {friend2} dug for hours.",
    ],
    &[
        "But then {hero} heard {noise}. \"Help!\" {he} cried, and this time it was true. Nobody came.",
        "Then it was {hero} who needed help, for {he} stood before {danger}. \"It is only one of your tricks,\" they said.",
        "But the {animal} had seen it and told everybody. When {hero} came back, nobody spoke to {him}.",
    ],
    &[
        "Only {friend} came. \"I do not know if it is true,\" said {friend}, \"but I could not leave you alone.\"",
        "{hero} sat alone and was {sad}. It was not funny any more.",
        "{hero} had to get out by {his} own strength, and it took the whole day.",
    ],
    &[
        "\"I am sorry,\" said {hero}. \"I will not do it again.\" And {he} gave everyone {a food}.",
        "{hero} went to each of them and said sorry. It was the hardest thing that {he} had ever done.",
        "The next day {hero} helped the {helper} to {job} and asked for nothing.",
    ],
    &["Now {hero} knew that {lesson_truth}.", "\"{lesson_truth},\" said {friend}.", "From then on {hero} only played tricks that made all of them laugh."],
    END,
];

/// All plots.
pub const PLOTS: &[Plot] = &[
    LOST, SHARE, LEARN, RESCUE, TRUTH, WISH, WORK, CONTEST, STRANGER, GROW, JOURNEY, TRICK,
];
