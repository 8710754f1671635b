//! Words of the story generator. Each list has a name that templates use: `{animal}` draws one of `animal`.

/// All lists.
pub const LISTS: &[(&str, &str)] = &[
    ("girl", "Anna Mia Lily Rose Nora Emma Sara Ruby Lucy Ella Clara Ivy Molly Hazel Zoe Maya Tess Poppy Daisy Ada Greta Elsie Nina Olive \
        Pearl June Alma Iris Bella Wren Freya Maud Tilda Edith Sofia Leila Amara Kira Hana Yuki Priya Zara Dora Fern Holly Jade Luna Nell \
        Penny Willow Abigail Adele Agatha Agnes Aisha Alice Alina Amelia Amina Amy Anja Annika Anya Astrid Audrey Aurora Ava Beatrice \
        Berta Bettina Birgit Bonnie Bridget Brigid Camilla Carla Carmen Caroline Cecilia Celia Celeste Charlotte Chiara Chloe Christa \
        Claire Cora Cordelia Dagmar Dalia Daphne Delia Diana Dina Dorothea Edda Effie Eileen Elena Elin Eliza Elke Eloise Elsa Elvira \
        Emilia Esme Esther Eva Evelyn Faye Fatima Fiona Flora Florence Frances Frida Gemma Gerda Ginny Gisela Gloria Grace Gudrun Gwen \
        Hanna Harriet Hattie Heidi Helen Helga Henrietta Hilda Ida Ilse Imogen Ines Inga Irene Irma Isabel Isla Jana Jane Jasmin Jenny \
        Jessica Joan Johanna Josie Judith Julia Juno Karin Kate Katya Laila Lara Laura Lea Lena Leonie Leticia Lina Linda Liv Lola Lottie \
        Louisa Lydia Mabel Magda Maggie Malia Mara Margot Maria Marina Martha Mathilda Matilda Mei Mercy Meredith Mina Minna Mira Miriam \
        Mona Muriel Nadia Naomi Natalie Nia Noemi Norma Odette Olga Olivia Ophelia Paula Petra Phoebe Polly Rachel Ramona Rebecca Rhea \
        Rita Romy Rosa Rosalind Roxana Ruth Sabine Sally Salma Samira Sandra Sasha Selma Shirin Sigrid Silvia Sonja Stella Susan Svea \
        Sylvie Tabitha Tamara Tara Thea Theresa Tina Trudy Uma Ursula Valerie Vera Verena Viola Wanda Wilma Winnie Xenia Yara Yasmin \
        Yvonne Zelda"),
    ("boy", "Tom Ben Max Sam Leo Finn Jack Noah Oscar Theo Hugo Felix Otto Jonas Peter Alfie Toby Luke Adam Henry Eli Owen Milo Arlo \
        Jasper Rory Emil Anton Karl Nico Pablo Ravi Kofi Omar Amir Kenji Bo Gus Ned Walt Rufus Silas Ivan Hans Piet Dylan Ralph Simon \
        Victor Jacob Aaron Abel Ahmed Alan Albert Alec Alexander Ali Alvin Amos Andrew Angus Anselm Archie Armin Arno Arthur Asher August \
        Axel Barnaby Bartholomew Basil Benedict Bernard Bertram Boris Brian Bruno Caleb Calvin Carlo Casper Cedric Charles Christopher \
        Clement Conrad Cornelius Cyril Damian Daniel David Dennis Desmond Diego Dominic Douglas Edgar Edmund Edward Edwin Elias Elliot \
        Ernest Ethan Eugene Evan Ezra Fabian Ferdinand Fergus Francis Frank Frederick Gabriel Gareth George Gerald Gilbert Giles Gordon \
        Graham Gregory Gustav Guy Harald Harold Harvey Hector Herbert Herman Hiro Horace Howard Hubert Humphrey Ian Ibrahim Ignatius Igor \
        Isaac Ismail Jacques Jake James Jamie Jeremy Jerome Joel John Jonathan Jordan Josef Joshua Julian Julius Justin Kaspar Keith \
        Kevin Kilian Klaus Konrad Kurt Lars Laurence Lawrence Lennart Leonard Lewis Liam Linus Lionel Lorenzo Ludwig Magnus Malcolm \
        Marcel Marco Marcus Mario Mark Martin Mateo Matthew Maurice Mehmet Michael Miguel Miles Mohammed Morris Mustafa Nathan Neil \
        Nicholas Niels Nigel Norman Olaf Oliver Orlando Osman Oswald Ottmar Patrick Paul Percy Philip Quentin Rafael Rainer Ramon Raoul \
        Raymond Rex Richard Robert Roderick Roger Roland Roman Rowan Roy Rudolf Rupert Russell Samir Samuel Sascha Sebastian Sergio Seth \
        Sidney Sigmund Stanley Stefan Stephen Sven Tariq Ted Terence Thaddeus Thomas Thor Tilo Timothy Tobias Tony Tristan Ulrich Urban \
        Uwe Valentin Vincent Vito Waldo Wallace Walter Warren Werner Wilbur Wilfred William Winston Wolfgang Xaver Yannick Yusuf Zachary"),
    ("animal", "rabbit,fox,bear,mouse,duck,frog,owl,hedgehog,squirrel,badger,turtle,kitten,puppy,lamb,goat,pony,otter,beaver,mole,sparrow,\
        robin,crow,swan,hen,piglet,calf,deer,raccoon,penguin,seal,monkey,elephant,lion,tiger,giraffe,zebra,camel,koala,panda,parrot,snail,\
        beetle,cricket,bee,butterfly,bat,lizard,crab,whale,dolphin,rat,hare,wolf,cub,fawn,moose,elk,donkey,mule,ox,bull,ram,ewe,foal,colt,\
        rooster,goose,gosling,duckling,chick,turkey,peacock,pheasant,quail,partridge,pigeon,dove,raven,magpie,jay,blackbird,thrush,\
        nightingale,lark,finch,wren,swallow,swift,cuckoo,woodpecker,kingfisher,heron,stork,crane,flamingo,pelican,seagull,albatross,\
        puffin,eagle,hawk,falcon,kestrel,vulture,ostrich,emu,toucan,hummingbird,toad,newt,salamander,gecko,chameleon,iguana,tortoise,\
        crocodile,alligator,snake,adder,worm,caterpillar,moth,dragonfly,grasshopper,ladybird,ant,wasp,bumblebee,firefly,spider,centipede,\
        lobster,shrimp,octopus,squid,jellyfish,starfish,seahorse,trout,salmon,herring,carp,pike,perch,eel,shark,walrus,narwhal,porpoise,\
        polar bear,reindeer,antelope,gazelle,buffalo,bison,yak,llama,alpaca,hippopotamus,rhinoceros,leopard,cheetah,panther,jaguar,lynx,\
        hyena,jackal,coyote,mongoose,meerkat,weasel,stoat,ferret,marten,mink,wombat,kangaroo,wallaby,platypus,opossum,skunk,armadillo,\
        anteater,sloth,tapir,lemur,gibbon,gorilla,chimpanzee,baboon,gerbil,chinchilla,dormouse,shrew,vole,lemming,marmot,chipmunk,\
        porcupine"),
    ("pet", "dog,cat,rabbit,hamster,parrot,goldfish,pony,turtle,kitten,puppy,canary,guinea pig,gerbil,budgie,tortoise,mouse,ferret,pigeon,\
        lizard,hen,duck,terrier,poodle,beagle,spaniel,sheepdog,dachshund,tomcat,white rat,snail"),
    ("home", "in a small house by the sea,in a village under a mountain,at the edge of a dark forest,in a tall house in the city,\
        on a farm with many hills,in a cottage beside the river,near the old mill,in a house with a blue door,at the end of a long street,\
        on a little island,in a valley full of flowers,above a bakery,next to the railway station,in a house with a round window,\
        behind the church,in a camp by the lake,on a boat in the harbour,in a wooden hut,beside a big garden,at the top of a steep road,\
        in a hut made of driftwood,in a caravan with green wheels,under the roof of a town house,in a stone house among vineyards,\
        in a windmill without sails,on a houseboat in the harbour,in a log cabin by a lake,beside a noisy sawmill,\
        in a narrow lane behind the theatre,near a quarry,in an old fort on the coast,at the foot of a glacier,in a house on stilts,\
        between two canals,in a palace with a hundred windows,in a bungalow beside the airfield,above a clockmaker's workshop,\
        on the steppe in a felt tent,in a suburb full of cherry trees,in a cabin at the top of the pass,next to the fire station,\
        opposite the town hall,in a monastery on a rock,in a house with a thatched roof"),
    ("den", "under the roots of an old oak,in a warm burrow,beside a quiet pond,in a hollow tree,on a sunny meadow,\
        at the edge of the forest,behind a waterfall,in a nest of soft grass,under a stone bridge,among the tall reeds,\
        in a cave on the hill,near the farmer's barn,on the bank of a slow river,in a hole below the hedge,between two grey rocks,\
        in a bush full of berries,inside a rotten stump,in a burrow under the brambles,on an island of water lilies,\
        in the ruins of a chapel,in the attic of the old inn,between the roots of a beech,in a crack of the cliff,behind the compost heap,\
        in a haystack,in the rushes of the marsh,beneath a boulder,in a dry ditch,high up in a poplar,in a clearing full of ferns,\
        in an abandoned badger's set,under the planks of the jetty,in the thicket beyond the pasture,on a ledge above the gorge"),
    ("place", "park,forest,garden,market,beach,library,school,farm,bridge,mill,meadow,river,lake,hill,station,harbour,castle,playground,\
        orchard,barn,cave,tower,museum,bakery,fair,zoo,pond,field,square,lighthouse,cellar,attic,stable,vineyard,cornfield,pasture,swamp,\
        marsh,moor,heath,jungle,desert,oasis,canyon,valley,gorge,ravine,waterfall,spring,creek,brook,canal,lagoon,bay,cove,cliff,dune,\
        pier,jetty,dock,shipyard,quay,airport,hangar,tunnel,crossroads,roundabout,alley,avenue,courtyard,terrace,balcony,rooftop,chimney,\
        greenhouse,nursery,hospital,pharmacy,theatre,cinema,gallery,stadium,gymnasium,swimming pool,ice rink,racecourse,circus tent,\
        funfair,aquarium,planetarium,observatory,laboratory,workshop,forge,sawmill,brewery,dairy,butcher's shop,grocery,toy shop,bookshop,\
        post office,bank,town hall,courthouse,police station,fire station,inn,tavern,restaurant,café,hotel,campsite,chapel,cathedral,\
        monastery,graveyard,fortress,palace,ruin,windmill,watermill,well,fountain,monument,quarry,mine,volcano,glacier,peninsula,island,\
        reef"),
    ("hidden", "under a bench,behind a bush,inside an old boot,on top of the cupboard,in a pile of leaves,below the stairs,\
        between two stones,in a hollow log,in the long grass,behind the curtain,under the bed,in the pocket of a coat,\
        at the bottom of a basket,on a high branch,beside the well,near the fence,in a bucket,behind a barrel,under the bridge,\
        in the sand,behind the wardrobe,under a loose floorboard,inside a hollow pumpkin,beneath the doormat,at the back of the drawer,\
        behind a stack of firewood,in the chest in the attic,among the tulips,under an upturned flowerpot,in the sleeve of a jacket,\
        inside the grandfather clock,behind the radiator,in the glove box,between the pages of an atlas,under a heap of laundry,\
        in an empty jam jar,beside the chimney,on the windowsill,behind the waterfall,in the nest of a magpie,inside a watering can,\
        under the saddle,among the reeds,in the crown of the willow,beneath the stage,in the corner of the cellar,behind the altar,\
        inside a teapot,in the rafters,under the mattress"),
    ("toy", "ball,kite,doll,boat,drum,puzzle,robot,train,car,bear,top,balloon,puppet,wagon,horse,yo-yo,truck,plane,whistle,bucket,castle,\
        rocket,spade,jigsaw,scooter,sledge,tricycle,rattle,spinning wheel,marionette,trumpet,tambourine,xylophone,accordion,banjo,\
        harmonica,skateboard,trampoline,seesaw,slingshot,boomerang,frisbee,dice,domino,chessboard,teddy,soldier,dragon,dinosaur,unicorn,\
        submarine,helicopter,tractor,bulldozer,lorry,fire engine,ambulance,tram,airship,spaceship,telescope,microscope,magnet,\
        kaleidoscope,paintbox,crayon,sticker,mask,cape,sword,shield,bow,arrow,lasso,hammock,tent,tepee,pinwheel,bubble pipe,music box,\
        jack-in-the-box,doll's house,rocking horse,hoop"),
    ("treasure", "key,ring,coin,shell,map,bell,lamp,book,stone,feather,necklace,button,box,mirror,watch,flute,crown,compass,letter,locket,\
        marble,lantern,spoon,brush,scarf,hat,mitten,basket,bracelet,brooch,earring,pendant,medal,trophy,goblet,chalice,candlestick,\
        candelabra,chandelier,vase,urn,pitcher,teapot,saucer,plate,tureen,tapestry,carpet,cushion,quilt,shawl,glove,slipper,boot,belt,\
        buckle,purse,wallet,satchel,suitcase,trunk,casket,padlock,dagger,helmet,violin,harp,lyre,lute,guitar,piano,trombone,bugle,horn,\
        gong,chime,hourglass,sundial,barometer,thermometer,spyglass,magnifying glass,globe,atlas,chart,scroll,parchment,diary,notebook,\
        dictionary,almanac,album,portrait,painting,sketch,statue,figurine,carving,mosaic,fossil,crystal,diamond,ruby,emerald,sapphire,\
        opal,topaz,amethyst,pearl,amber,nugget,doubloon,penny,stamp,ticket,postcard,photograph,inkwell,quill,pencil,paperweight,thimble,\
        needle,bobbin,ribbon,lace,tassel,banner,flag,pennant,walking stick,fan,parasol"),
    ("food", "apple,cake,pear,bun,pie,carrot,plum,sandwich,pancake,cookie,muffin,peach,banana,potato,melon,tart,lemon,egg,biscuit,pretzel,\
        waffle,orange,pumpkin,cherry,fig,apricot,nectarine,grapefruit,mandarin,tangerine,clementine,lime,mango,papaya,pineapple,coconut,\
        kiwi,pomegranate,quince,date,olive,grape,raspberry,blackberry,blueberry,gooseberry,cranberry,currant,walnut,hazelnut,almond,\
        chestnut,peanut,acorn,radish,turnip,beetroot,parsnip,leek,onion,shallot,cucumber,courgette,aubergine,pepper,artichoke,mushroom,\
        truffle,cauliflower,sausage,meatball,dumpling,omelette,pasty,quiche,pizza,burger,burrito,taco,noodle,roll,bagel,croissant,scone,\
        crumpet,brioche,loaf,baguette,cracker,wafer,doughnut,brownie,cupcake,gingerbread man,macaroon,meringue,éclair,custard pie,trifle,\
        cheesecake,strudel,crêpe,lollipop,toffee,caramel,bonbon,marshmallow,candy cane,chocolate bar,peppermint,jelly bean"),
    ("meal", "soup,bread,honey,cheese,porridge,rice,jam,butter,stew,salad,pasta,milk,tea,cocoa,lemonade,ice cream,pudding,popcorn,broth,\
        chowder,goulash,curry,risotto,lasagne,spaghetti,macaroni,ravioli,couscous,lentils,oatmeal,muesli,yoghurt,custard,semolina,\
        sauerkraut,coleslaw,guacamole,hummus,falafel,sushi,bacon,ham,roast beef,mutton,venison,mustard,marmalade,syrup,treacle,molasses,\
        cream,buttermilk,cider,ginger beer,apple juice,elderflower juice,hot chocolate,fruit salad,gravy,mashed potato"),
    ("plant", "rose,tulip,oak,sunflower,daisy,bean,tomato,pine,willow,lily,pumpkin,strawberry,fern,apple tree,cherry tree,violet,poppy,\
        cabbage,pea,mint,maple,birch,beech,elm,ash,alder,poplar,aspen,chestnut tree,walnut tree,plum tree,pear tree,olive tree,fig tree,\
        palm,cypress,cedar,spruce,fir,larch,yew,juniper,holly bush,hawthorn,blackthorn,hazel bush,elder bush,rowan,linden,sycamore,acacia,\
        magnolia,laurel,bamboo,cactus,ivy plant,honeysuckle,jasmine,lavender,rosemary,sage,thyme,basil plant,parsley plant,chive,\
        dandelion,buttercup,cowslip,primrose,snowdrop,crocus,daffodil,hyacinth,anemone,peony,geranium,begonia,petunia,marigold,dahlia,\
        aster,chrysanthemum,carnation,orchid,iris,foxglove,bluebell,forget-me-not,lupin,hollyhock,thistle,nettle,clover,bramble,\
        blackberry bush,raspberry bush,gooseberry bush,grapevine,hop plant,cornflower,water lily,bulrush,cucumber plant,pepper plant,\
        lettuce,spinach plant,kale,radish plant,turnip plant,rhubarb plant,mushroom,toadstool"),
    ("colour", "red,blue,green,yellow,purple,orange,white,black,golden,silver,pink,brown,grey,violet,copper,striped,spotted,scarlet,\
        crimson,maroon,burgundy,ruby-red,coral,salmon-coloured,peach-coloured,amber,ochre,mustard-yellow,lemon-yellow,ivory,\
        cream-coloured,beige,tan,chestnut-brown,bronze,olive-green,emerald-green,moss-green,turquoise,teal,azure,indigo,navy-blue,\
        sky-blue,lavender-blue,lilac,mauve,magenta,charcoal-grey,ebony,snow-white,speckled,checked,dappled,rainbow-coloured,transparent,\
        patterned"),
    ("size", "little,small,tiny,big,huge,large,tall,short,thin,round,long,wide,heavy,light,narrow,giant,gigantic,enormous,massive,immense,\
        vast,mighty,bulky,chubby,plump,stout,sturdy,slim,slender,skinny,lanky,stubby,squat,miniature,microscopic,petite,middle-sized,\
        oversized"),
    ("kind", "kind,brave,clever,shy,curious,gentle,cheerful,honest,patient,quiet,lively,friendly,careful,proud,stubborn,lazy,playful,\
        polite,thoughtful,daring,dreamy,busy,helpful,hungry,sleepy,generous,loyal,faithful,trustworthy,sincere,modest,humble,noble,\
        gallant,fearless,courageous,heroic,adventurous,bold,reckless,cautious,prudent,sensible,wise,intelligent,bright,quick-witted,\
        inventive,imaginative,creative,artistic,musical,talented,skilful,handy,hard-working,diligent,industrious,energetic,tireless,\
        ambitious,determined,persistent,obstinate,headstrong,rebellious,mischievous,naughty,cheeky,impish,rude,grumpy,moody,sulky,\
        short-tempered,impatient,restless,fidgety,nervous,timid,bashful,reserved,silent,talkative,chatty,sociable,warm-hearted,\
        good-natured,tender,affectionate,caring,compassionate,sympathetic,considerate,respectful,obedient,well-behaved,tidy,orderly,\
        punctual,absent-minded,forgetful,clumsy,awkward,dainty,graceful,elegant,vain,boastful,conceited,jealous,envious,greedy,stingy,\
        thrifty,selfish,unselfish,fair,just,merciful,forgiving,hopeful,optimistic,gloomy,serious,solemn,earnest,witty,humorous,funny,\
        silly,whimsical,eccentric,mysterious,secretive,inquisitive,nosy,observant,attentive,alert,vigilant,drowsy,sluggish,nimble,agile,\
        swift,athletic,strong,fragile,sensitive,romantic,nostalgic"),
    ("quality", "shiny,old,new,pretty,soft,strange,broken,dusty,smooth,warm,wonderful,simple,bright,beautiful,lovely,rusty,wooden,magic,\
        secret,precious,funny,plain,rare,tidy,crooked,antique,ancient,medieval,modern,elegant,splendid,magnificent,gorgeous,marvellous,\
        fabulous,fantastic,extraordinary,remarkable,curious-looking,peculiar,bizarre,mysterious,enchanted,bewitched,haunted,sacred,holy,\
        royal,imperial,noble,humble,ordinary,common,cheap,costly,expensive,priceless,worthless,valuable,useful,useless,sturdy,delicate,\
        fragile,brittle,cracked,chipped,scratched,dented,battered,worn,faded,tattered,ragged,patched,torn,mended,polished,gleaming,\
        glittering,sparkling,shimmering,glowing,dazzling,dull,tarnished,mouldy,mossy,muddy,sticky,slippery,greasy,sooty,spotless,flawless,\
        perfect,unfinished,half-finished,handmade,homemade,hand-painted,carved,engraved,embroidered,knitted,woven,gilded,silver-plated,\
        marble,granite,crystal,glass,porcelain,ceramic,leather,velvet,silk,woollen,cotton,linen,straw,paper,cardboard,tin,iron,steel,\
        brass,ivory,oval,square,triangular,pointed,curved,twisted,hollow,solid,lightweight,weighty,enormous-looking,fragrant,scented,\
        musty,noisy,silent,forgotten,long-lost,stolen,borrowed,foreign,exotic,local,unique,familiar,unfamiliar,unexpected,impressive,\
        charming,graceful,dainty,ugly,hideous,comical,ridiculous,practical,clever,complicated,ingenious,harmless,dangerous,lucky,unlucky,\
        favourite"),
    ("happy", "happy,glad,proud,cheerful,pleased,delighted,thankful,excited,joyful,content,relieved,merry,overjoyed,thrilled,elated,\
        jubilant,ecstatic,blissful,enchanted,amused,carefree,light-hearted,hopeful,grateful,satisfied,comfortable,peaceful,calm,cosy,\
        enthusiastic,radiant,triumphant,contented,fortunate,encouraged,exhilarated"),
    ("sad", "sad,worried,lonely,afraid,upset,unhappy,nervous,cross,tired,ashamed,sorry,gloomy,disappointed,scared,miserable,wretched,\
        heartbroken,sorrowful,mournful,downcast,dejected,discouraged,desperate,hopeless,helpless,homesick,anxious,uneasy,troubled,\
        frightened,terrified,alarmed,startled,puzzled,confused,bewildered,embarrassed,guilty,regretful,remorseful,offended,hurt,annoyed,\
        irritated,angry,furious,bitter,exhausted,weary,bored,uncomfortable,horrified,shocked,speechless"),
    ("softly", "softly,quietly,kindly,gently,slowly,carefully,bravely,calmly,politely,warmly,shyly,patiently,tenderly,sweetly,lovingly,\
        soothingly,thoughtfully,cautiously,timidly,modestly,humbly,solemnly,seriously,earnestly,sincerely,honestly,faithfully,hopefully,\
        gratefully,respectfully,graciously,delicately,silently,noiselessly,secretly,sleepily,dreamily,wearily,sadly,hesitantly,awkwardly,\
        nervously,wisely,sensibly"),
    ("loudly", "loudly,quickly,suddenly,happily,eagerly,proudly,wildly,cheerfully,boldly,noisily,angrily,furiously,fiercely,sternly,\
        harshly,rudely,impatiently,hastily,hurriedly,frantically,desperately,excitedly,joyfully,merrily,gleefully,triumphantly,\
        enthusiastically,energetically,vigorously,forcefully,stubbornly,defiantly,fearlessly,recklessly,thunderously,shrilly"),
    ("time", "one morning,one day,one afternoon,one sunny day,one cold morning,one evening,one rainy day,one spring day,on a windy day,\
        on a summer morning,late one night,early one morning,one autumn day,on the first day of winter,on a Sunday,\
        after breakfast one day,just before dinner one day,on market day,one frosty night,one misty dawn,at noon one day,at midnight,\
        one stormy night,in the middle of July,one bright May morning,in the last week of August,on a chilly October day,\
        on the eve of the festival,during the holidays,after school one day,before sunrise one day,at dusk one day,on a lazy Saturday,\
        one dull Monday,on a quiet Tuesday,one breezy Wednesday,on a sultry Thursday,one busy Friday,one moonlit evening,\
        towards the end of March,when the clocks struck three,just after lunch one day"),
    ("weather", "The sun was shining.,The wind was strong.,Rain fell on the roofs.,Snow covered the ground.,The sky was grey.,\
        There was not a cloud in the sky.,Fog lay over the fields.,The air smelled of flowers.,Leaves fell from the trees.,\
        It was very hot.,It was cold outside.,The stars were bright.,A storm was coming.,The birds were singing.,\
        The moon was round and yellow.,Hail drummed against the windows.,Drizzle made everything damp.,A breeze rustled the curtains.,\
        Thunder rolled over the valley.,Lightning flashed in the distance.,Icicles hung from the gutters.,The puddles were frozen.,\
        A rainbow stood over the meadow.,The heat shimmered above the road.,Clouds raced across the sky.,Dew sparkled on the grass.,\
        The first frost had come.,A blizzard was on its way.,The mist was slowly lifting.,Dusk was falling.,The sunset was a deep red.,\
        Petals drifted through the air.,Crickets chirped in the heat.,The tide was out.,Waves crashed against the shore."),
    ("helper", "baker,farmer,teacher,doctor,fisherman,gardener,miller,postman,sailor,shepherd,carpenter,librarian,nurse,painter,tailor,\
        blacksmith,beekeeper,shoemaker,watchmaker,cook,driver,builder,potter,weaver,musician,clown,knight,queen,king,wizard,fairy,giant,\
        old man,old woman,neighbour,ferryman,hunter,captain,butcher,grocer,brewer,innkeeper,waiter,waitress,barber,hairdresser,dressmaker,\
        seamstress,jeweller,goldsmith,silversmith,locksmith,glazier,plumber,electrician,mechanic,engineer,architect,bricklayer,stonemason,\
        roofer,plasterer,joiner,cooper,wheelwright,saddler,tanner,basket maker,rope maker,candle maker,printer,bookbinder,bookseller,\
        journalist,editor,poet,novelist,storyteller,actor,actress,dancer,singer,violinist,pianist,drummer,conductor,composer,sculptor,\
        photographer,magician,juggler,acrobat,tightrope walker,lion tamer,zookeeper,veterinarian,surgeon,dentist,midwife,chemist,\
        professor,scientist,astronomer,inventor,explorer,geographer,archaeologist,historian,lawyer,judge,mayor,minister,ambassador,\
        policeman,detective,firefighter,soldier,general,admiral,pilot,astronaut,navigator,boatman,lighthouse keeper,harbour master,diver,\
        pearl fisher,woodcutter,forester,gamekeeper,goatherd,swineherd,ploughman,miner,chimney sweep,street sweeper,lamplighter,\
        nightwatchman,gatekeeper,butler,maid,governess,tutor,monk,nun,hermit,pilgrim,merchant,pedlar,banker,clerk,secretary,messenger,\
        coachman,stationmaster,prince,princess,duke,duchess,baron,witch,sorcerer,elf,dwarf,goblin,mermaid"),
    ("relative", "mother,father,grandmother,grandfather,aunt,uncle,sister,brother,cousin"),
    ("skill", "swim,read,sing,dance,climb,paint,cook,fly a kite,ride a bicycle,play the flute,play the drum,count to a hundred,tie a knot,\
        whistle,skate,bake bread,write a letter,juggle,build a boat,plant a tree,ring the big bell,tell stories,catch a ball,row a boat,\
        sew a button,jump over the stream,draw a horse,somersault,cartwheel,yodel,knit,crochet,embroider,weave baskets,carve wood,\
        mould clay,blow glass,play chess,play the violin,play the trumpet,play the harp,play the accordion,recite poems,do sums,\
        speak Spanish,speak French,read maps,find north by the stars,light a fire,pitch a tent,paddle a canoe,sail a dinghy,\
        dive to the bottom,float on the back,walk on stilts,walk on a tightrope,ride a unicycle,ride a camel,drive a tractor,\
        shear a sheep,churn butter,knead dough,toss pancakes,fold paper cranes,do card tricks,imitate birds,throw a boomerang,\
        shoot with a bow,wrestle,fence,ski,sledge down the slope,turn pirouettes,dance the tango,dance the polka,play marbles,\
        stand on one leg,hold the breath,wiggle the ears"),
    ("job", "clean the kitchen,feed the hens,carry the wood,water the flowers,wash the dishes,pick the apples,sweep the floor,\
        paint the fence,mend the roof,gather the eggs,dig the garden,fold the clothes,fetch water,rake the leaves,shovel the snow,\
        milk the cow,set the table,tidy the room,polish the silver,scrub the doorstep,dust the shelves,empty the dustbin,iron the shirts,\
        darn the socks,peel the potatoes,shell the peas,stir the porridge,grind the coffee,chop the firewood,stack the logs,\
        sharpen the knives,oil the hinges,whitewash the wall,weed the vegetable patch,prune the hedge,mow the lawn,plough the field,\
        sow the barley,harvest the rye,thresh the corn,groom the horse,muck out the stable,shear the sheep,pluck the goose,\
        collect the honey,patch the sails,scrape the hull,mend the nets,wind the clocks,deliver the letters,sort the buttons,\
        copy the list,tune the piano,varnish the chairs,clear the gutters,scour the pans,stuff the pillows,wax the floor"),
    ("game", "hide and seek,catch,tag,chess,marbles,hopscotch,jump rope,football,cards,pirates,knights,follow the leader,leapfrog,\
        blind man's buff,musical chairs,skittles,croquet,badminton,table tennis,volleyball,basketball,handball,hockey,cricket,rounders,\
        tug of war,dominoes,draughts,backgammon,charades,dress-up,cowboys,explorers,detectives,hospital,shop,school,pass the parcel,\
        noughts and crosses,snakes and ladders,tiddlywinks,conkers"),
    ("noise", "a loud crash,a strange sound,a small cry,a deep growl,a soft song,a knock at the door,a bell,a squeak,a splash,a whistle,\
        a rustle in the leaves,a low rumble,a tap on the window,a shrill scream,a hoarse voice,a muffled groan,a long howl,a bark,a hiss,\
        a buzzing,a crackling,a creaking stair,a slamming door,the clatter of hooves,the rattle of chains,the hoot of an owl,\
        the croaking of frogs,a distant thunderclap,a sudden bang,a sneeze,a giggle,a whimper,a sigh,the ticking of a clock,\
        a trumpet call,a roaring engine,the jingle of coins,footsteps on the gravel,a whisper,a splintering sound,a gurgling,an echo,\
        a wail"),
    ("danger", "a deep hole,a fast river,a broken bridge,a big dog,a swarm of bees,thick ice that began to crack,a falling branch,\
        a dark tunnel,a steep cliff,a thunderstorm,a thorny bush,a muddy swamp,a slippery rock,a rushing torrent,quicksand,\
        a rolling boulder,an avalanche,a forest fire,a whirlpool,a flood,a runaway cart,an angry bull,a hungry wolf,a poisonous snake,\
        a nest of hornets,a collapsing wall,a rotten plank,a bottomless pit,a crumbling ledge,a burning barn,an electric eel,\
        a charging boar,a landslide,an icy slope,a tangle of barbed wire,a trap,a rockfall,a hurricane,a sinking boat,a locked dungeon,\
        a maze without an exit,a deep crevasse,a snapping crocodile"),
    ("useful", "rope,ladder,stick,basket,blanket,bucket,lantern,net,wheelbarrow,boat,shovel,hammer,long pole,wooden board,cart,umbrella,\
        sail,sack,saw,hook,crowbar,spade,pickaxe,pitchfork,rake,hoe,scythe,sickle,axe,hatchet,chisel,plane,drill,screwdriver,spanner,\
        pair of pliers,vice,anvil,pulley,crane,winch,lever,plank,beam,brick,tile,nail,bolt,chain,cable,cord,string,wire,tarpaulin,curtain,\
        bedsheet,tablecloth,mattress,barrel,crate,jug,kettle,pan,ladle,sieve,funnel,pump,hose,watering can,sponge,mop,broom,torch,candle,\
        matchbox,whistle,megaphone,mirror,compass,map,raft,canoe,paddle,oar,anchor,lifebelt,snowshoe,sledge,stretcher,bandage,\
        walking stick,fishing rod,magnet,wedge,hinge"),
    ("wish", "see the sea,fly like a bird,find a friend,have a garden,sail far away,touch a cloud,see the snow,win the race,\
        live in a castle,grow tall,own a horse,visit the moon,hear the owls sing,find a treasure,sleep under the stars,ride on a train,\
        meet the king,learn a secret,cross the ocean,climb the highest mountain,dive with dolphins,tame a dragon,become invisible,\
        understand the animals,travel through time,write a book,paint like a master,play in an orchestra,act on a stage,\
        discover an island,build a rocket,meet a mermaid,ride an elephant,see the northern lights,walk through a rainforest,\
        cross the desert by camel,taste every kind of chocolate,have a twin,own a bakery,live in a lighthouse,drive a locomotive,\
        invent a machine,solve a riddle,find a dinosaur bone,catch a shooting star,walk on the bottom of the sea,sleep in a treehouse,\
        have wings"),
    ("contest", "race,singing contest,baking contest,swimming race,kite contest,drawing contest,dance,boat race,jumping contest,\
        spelling contest,sandcastle contest,snowman contest,ploughing match,rowing regatta,tug-of-war,pumpkin contest,pie-eating contest,\
        riddle contest,poetry contest,archery contest,skating race,sack race,egg-and-spoon race,obstacle race,relay race,marathon,\
        chess tournament,fishing contest,whistling contest,juggling contest,costume contest,gardening contest"),
    ("feast", "birthday,harvest feast,winter party,spring fair,wedding,picnic,village dance,summer party,parade,circus,concert,carnival,\
        jubilee,christening,coronation,banquet,barbecue,tea party,masked ball,lantern festival,midsummer bonfire,grape harvest,\
        church fair,flower show,dog show,talent show,puppet play,opera,school play,boat parade,anniversary"),
    ("excuse", "I am too tired,I have no time,it is not my fault,I do not want to,somebody else can do it,I will do it tomorrow,\
        it is too hard,my legs hurt,my stomach aches,I have a headache,I have hurt my thumb,I must finish my book,I did it last week,\
        it is somebody else's turn,my shoes are too tight,I have forgotten how,it might rain,I am allergic to it,my boots are wet,\
        nobody told me"),
    ("lesson_share", "sharing makes everything sweeter,a gift grows when it is given away,there is always enough for two,\
        friends are worth more than things,a full heart is better than a full plate,giving feels better than keeping,\
        generosity costs nothing,two can carry what one cannot,whoever gives is never poor,joy doubles when it is divided,\
        a lonely feast tastes of nothing,borrowed happiness grows"),
    ("lesson_truth", "it is best to tell the truth,a lie only makes things worse,being honest takes courage,a true word is like a light,\
        friends can forgive a mistake but not a lie,honesty is worth more than gold,the truth always comes to light,\
        trust is built slowly and lost quickly,admitting a mistake is half of mending it,liars need an excellent memory,\
        a clear conscience is a soft pillow"),
    ("lesson_try", "you must not give up,practice makes things easy,every master was a beginner,small steps lead to the top,\
        falling down is a part of learning,patience is stronger than anger,perseverance wins in the end,talent is mostly practice,\
        failure is only a lesson,courage grows with use,slow progress is progress too,nobody is born an expert,effort is never wasted"),
    ("lesson_help", "even the smallest can help,a kind deed always comes back,nobody is too little to be brave,many hands make light work,\
        it is good to ask for help,a friend in need is a friend indeed,strength is nothing without kindness,helping others helps oneself,\
        together even mountains can be moved,a true friend stays when others leave,compassion is a kind of courage,\
        everybody needs somebody"),
    ("lesson_care", "it is good to listen,one should look before one leaps,it is wise to be careful,rules can keep you safe,\
        going too far alone is not clever,curiosity needs a little caution,experience is a strict teacher,warnings are there for a reason,\
        haste makes waste,shortcuts often take longer,think twice and act once"),
    ("lesson_work", "work comes before play,a job done well makes one proud,things do not do themselves,lazy days have a price,\
        a little work each day is enough,diligence brings its own reward,a promise must be kept,what is begun should be finished,\
        duty and fun can go together,tomorrow's work grows overnight,rest is sweetest after labour"),
];

/// Entries of a list. Names are separated by spaces, all others by commas.
pub fn entries(name: &str, text: &'static str) -> Vec<&'static str> {
    let separator = if matches!(name, "girl" | "boy") {
        ' '
    } else {
        ','
    };
    text.split(separator).collect()
}
