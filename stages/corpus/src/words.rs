//! Words of the story generator. Each list has a name that templates use: `{animal}` draws one of `animal`.

/// All lists.
pub const LISTS: &[(&str, &str)] = &[
    ("girl", "Anna Mia Lily Rose Nora Emma Sara Ruby Lucy Ella Clara Ivy Molly Hazel Zoe Maya Tess Poppy Daisy Ada Greta Elsie Nina Olive Pearl June Alma Iris Bella Wren Freya Maud Tilda Edith Sofia Leila Amara Kira Hana Yuki Priya Zara Dora Fern Holly Jade Luna Nell Penny Willow"),
    ("boy", "Tom Ben Max Sam Leo Finn Jack Noah Oscar Theo Hugo Felix Otto Jonas Peter Alfie Toby Luke Adam Henry Eli Owen Milo Arlo Jasper Rory Emil Anton Karl Nico Pablo Ravi Kofi Omar Amir Kenji Bo Gus Ned Walt Rufus Silas Ivan Hans Piet Dylan Ralph Simon Victor Jacob"),
    ("animal", "rabbit,fox,bear,mouse,duck,frog,owl,hedgehog,squirrel,badger,turtle,kitten,puppy,lamb,goat,pony,otter,beaver,mole,sparrow,robin,crow,swan,hen,piglet,calf,deer,raccoon,penguin,seal,monkey,elephant,lion,tiger,giraffe,zebra,camel,koala,panda,parrot,snail,beetle,cricket,bee,butterfly,bat,lizard,crab,whale,dolphin"),
    ("pet", "dog,cat,rabbit,hamster,parrot,goldfish,pony,turtle,kitten,puppy,canary,guinea pig"),
    ("home", "in a small house by the sea,in a village under a mountain,at the edge of a dark forest,in a tall house in the city,on a farm with many hills,in a cottage beside the river,near the old mill,in a house with a blue door,at the end of a long street,on a little island,in a valley full of flowers,above a bakery,next to the railway station,in a house with a round window,behind the church,in a camp by the lake,on a boat in the harbour,in a wooden hut,beside a big garden,at the top of a steep road"),
    ("den", "under the roots of an old oak,in a warm burrow,beside a quiet pond,in a hollow tree,on a sunny meadow,at the edge of the forest,behind a waterfall,in a nest of soft grass,under a stone bridge,among the tall reeds,in a cave on the hill,near the farmer's barn,on the bank of a slow river,in a hole below the hedge,between two grey rocks,in a bush full of berries"),
    ("place", "park,forest,garden,market,beach,library,school,farm,bridge,mill,meadow,river,lake,hill,station,harbour,castle,playground,orchard,barn,cave,tower,museum,bakery,fair,zoo,pond,field,square,lighthouse"),
    ("hidden", "under a bench,behind a bush,inside an old boot,on top of the cupboard,in a pile of leaves,below the stairs,between two stones,in a hollow log,in the long grass,behind the curtain,under the bed,in the pocket of a coat,at the bottom of a basket,on a high branch,beside the well,near the fence,in a bucket,behind a barrel,under the bridge,in the sand"),
    ("toy", "ball,kite,doll,boat,drum,puzzle,robot,train,car,bear,top,balloon,puppet,wagon,horse,yo-yo,truck,plane,whistle,bucket,castle,rocket,spade,jigsaw"),
    ("treasure", "key,ring,coin,shell,map,bell,lamp,book,stone,feather,necklace,button,box,mirror,watch,flute,crown,compass,letter,locket,marble,lantern,spoon,brush,scarf,hat,mitten,basket"),
    ("food", "apple,cake,pear,bun,pie,carrot,plum,sandwich,pancake,cookie,muffin,peach,banana,potato,melon,tart,lemon,egg,biscuit,pretzel,waffle,orange,pumpkin,cherry,fig"),
    ("meal", "soup,bread,honey,cheese,porridge,rice,jam,butter,stew,salad,pasta,milk,tea,cocoa,lemonade,ice cream,pudding,popcorn"),
    ("plant", "rose,tulip,oak,sunflower,daisy,bean,tomato,pine,willow,lily,pumpkin,strawberry,fern,apple tree,cherry tree,violet,poppy,cabbage,pea,mint"),
    ("colour", "red,blue,green,yellow,purple,orange,white,black,golden,silver,pink,brown,grey,violet,copper,striped,spotted"),
    ("size", "little,small,tiny,big,huge,large,tall,short,thin,round,long,wide,heavy,light,narrow"),
    ("kind", "kind,brave,clever,shy,curious,gentle,cheerful,honest,patient,quiet,lively,friendly,careful,proud,stubborn,lazy,playful,polite,thoughtful,daring,dreamy,busy,helpful,hungry,sleepy"),
    ("quality", "shiny,old,new,pretty,soft,strange,broken,dusty,smooth,warm,wonderful,simple,bright,beautiful,lovely,rusty,wooden,magic,secret,precious,funny,plain,rare,tidy,crooked"),
    ("happy", "happy,glad,proud,cheerful,pleased,delighted,thankful,excited,joyful,content,relieved,merry"),
    ("sad", "sad,worried,lonely,afraid,upset,unhappy,nervous,cross,tired,ashamed,sorry,gloomy,disappointed,scared"),
    ("softly", "softly,quietly,kindly,gently,slowly,carefully,bravely,calmly,politely,warmly,shyly,patiently"),
    ("loudly", "loudly,quickly,suddenly,happily,eagerly,proudly,wildly,cheerfully,boldly,noisily"),
    ("time", "one morning,one day,one afternoon,one sunny day,one cold morning,one evening,one rainy day,one spring day,on a windy day,on a summer morning,late one night,early one morning,one autumn day,on the first day of winter,on a Sunday,after breakfast one day,just before dinner one day,on market day"),
    ("weather", "The sun was shining.,The wind was strong.,Rain fell on the roofs.,Snow covered the ground.,The sky was grey.,There was not a cloud in the sky.,Fog lay over the fields.,The air smelled of flowers.,Leaves fell from the trees.,It was very hot.,It was cold outside.,The stars were bright.,A storm was coming.,The birds were singing.,The moon was round and yellow."),
    ("helper", "baker,farmer,teacher,doctor,fisherman,gardener,miller,postman,sailor,shepherd,carpenter,librarian,nurse,painter,tailor,blacksmith,beekeeper,shoemaker,watchmaker,cook,driver,builder,potter,weaver,musician,clown,knight,queen,king,wizard,fairy,giant,old man,old woman,neighbour,ferryman,hunter,captain"),
    ("relative", "mother,father,grandmother,grandfather,aunt,uncle,sister,brother,cousin"),
    ("skill", "swim,read,sing,dance,climb,paint,cook,fly a kite,ride a bicycle,play the flute,play the drum,count to a hundred,tie a knot,whistle,skate,bake bread,write a letter,juggle,build a boat,plant a tree,ring the big bell,tell stories,catch a ball,row a boat,sew a button,jump over the stream,draw a horse"),
    ("job", "clean the kitchen,feed the hens,carry the wood,water the flowers,wash the dishes,pick the apples,sweep the floor,paint the fence,mend the roof,gather the eggs,dig the garden,fold the clothes,fetch water,rake the leaves,shovel the snow,milk the cow,set the table,tidy the room"),
    ("game", "hide and seek,catch,tag,chess,marbles,hopscotch,jump rope,football,cards,pirates,knights,follow the leader"),
    ("noise", "a loud crash,a strange sound,a small cry,a deep growl,a soft song,a knock at the door,a bell,a squeak,a splash,a whistle,a rustle in the leaves,a low rumble,a tap on the window"),
    ("danger", "a deep hole,a fast river,a broken bridge,a big dog,a swarm of bees,thick ice that began to crack,a falling branch,a dark tunnel,a steep cliff,a thunderstorm,a thorny bush,a muddy swamp,a slippery rock"),
    ("useful", "rope,ladder,stick,basket,blanket,bucket,lantern,net,wheelbarrow,boat,shovel,hammer,long pole,wooden board,cart,umbrella,sail,sack,saw,hook"),
    ("wish", "see the sea,fly like a bird,find a friend,have a garden,sail far away,touch a cloud,see the snow,win the race,live in a castle,grow tall,own a horse,visit the moon,hear the owls sing,find a treasure,sleep under the stars,ride on a train,meet the king,learn a secret"),
    ("contest", "race,singing contest,baking contest,swimming race,kite contest,drawing contest,dance,boat race,jumping contest,spelling contest,sandcastle contest,snowman contest"),
    ("feast", "birthday,harvest feast,winter party,spring fair,wedding,picnic,village dance,summer party,parade,circus,concert"),
    ("excuse", "I am too tired,I have no time,it is not my fault,I do not want to,somebody else can do it,I will do it tomorrow,it is too hard,my legs hurt"),
    ("lesson_share", "sharing makes everything sweeter,a gift grows when it is given away,there is always enough for two,friends are worth more than things,a full heart is better than a full plate,giving feels better than keeping"),
    ("lesson_truth", "it is best to tell the truth,a lie only makes things worse,being honest takes courage,a true word is like a light,friends can forgive a mistake but not a lie"),
    ("lesson_try", "you must not give up,practice makes things easy,every master was a beginner,small steps lead to the top,falling down is a part of learning,patience is stronger than anger"),
    ("lesson_help", "even the smallest can help,a kind deed always comes back,nobody is too little to be brave,many hands make light work,it is good to ask for help,a friend in need is a friend indeed"),
    ("lesson_care", "it is good to listen,one should look before one leaps,it is wise to be careful,rules can keep you safe,going too far alone is not clever"),
    ("lesson_work", "work comes before play,a job done well makes one proud,things do not do themselves,lazy days have a price,a little work each day is enough"),
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
