//! A generator of synthetic stories in the spirit of TinyStories (Eldan and Li 2023): small plots with a beginning,
//! a turn and an end, in a vocabulary that a child knows. Made from word lists and templates by a seeded generator, so the
//! bytes are the same everywhere. They are synthetic, and nothing here pretends otherwise.

use std::collections::BTreeMap;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::plots::{OPENINGS, PLOTS};
use crate::words::{entries, LISTS};

/// Stories until at least `bytes` bytes are there.
#[must_use]
pub fn stories(seed: u64, bytes: usize) -> Vec<String> {
    let lists: BTreeMap<&str, Vec<&str>> = LISTS
        .iter()
        .map(|(name, text)| (*name, entries(name, text)))
        .collect();
    let mut result = Vec::new();
    let mut total = 0;
    while total < bytes {
        // A stream of its own for each story: adding to one plot leaves the random numbers of other stories alone.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(result.len() as u64);
        let story = Teller::new(&lists, &mut rng).tell();
        total += story.len();
        result.push(story);
    }
    result
}

/// Tells one story.
struct Teller<'a> {
    lists: &'a BTreeMap<&'static str, Vec<&'static str>>,
    rng: &'a mut ChaCha8Rng,
    /// Words that stay the same through the story.
    bound: BTreeMap<String, String>,
}

impl<'a> Teller<'a> {
    fn new(lists: &'a BTreeMap<&'static str, Vec<&'static str>>, rng: &'a mut ChaCha8Rng) -> Self {
        let mut teller = Self {
            lists,
            rng,
            bound: BTreeMap::new(),
        };
        teller.cast();
        teller
    }

    /// Chooses the persons of the story and their pronouns.
    fn cast(&mut self) {
        let female = self.rng.random_bool(0.5);
        let is_animal = self.rng.random_bool(0.4);
        let (he, him, his) = if female {
            ("she", "her", "her")
        } else {
            ("he", "him", "his")
        };
        for (slot, word) in [("he", he), ("him", him), ("his", his)] {
            self.bind(slot, word);
        }
        let mut names = Vec::new();
        for (slot, list) in [
            ("hero", if female { "girl" } else { "boy" }),
            ("friend", "girl"),
            ("friend2", "boy"),
        ] {
            let name = loop {
                let list = if slot == "hero" || self.rng.random_bool(0.5) {
                    list
                } else {
                    "boy"
                };
                let name = self.draw(list);
                if !names.contains(&name) {
                    break name;
                }
            };
            self.bind(slot, &name);
            names.push(name);
        }
        let kind = if is_animal {
            self.draw("animal")
        } else if female {
            "girl".into()
        } else {
            "boy".into()
        };
        self.bind("hero_kind", &kind);
        let home = self.draw(if is_animal { "den" } else { "home" });
        self.bind("hero_home", &home);
        let relative = self.draw("relative");
        let is_female = matches!(
            relative.as_str(),
            "mother" | "grandmother" | "aunt" | "sister"
        ) || relative == "cousin" && self.rng.random_bool(0.5);
        self.bind("relative_he", if is_female { "she" } else { "he" });
        self.bind("relative", &relative);
    }

    fn bind(&mut self, slot: &str, word: &str) {
        self.bound.insert(slot.to_string(), word.to_string());
    }

    fn draw(&mut self, list: &str) -> String {
        let words = self.lists.get(list).map(Vec::as_slice).unwrap_or_default();
        // An unknown list shows in the text and in the tests.
        words
            .choose(self.rng)
            .map_or_else(|| format!("{{{list}}}"), |word| (*word).to_string())
    }

    fn tell(mut self) -> String {
        let plot = PLOTS.choose(self.rng).copied().unwrap_or_default();
        let mut story = String::new();
        for part in std::iter::once(&OPENINGS).chain(plot) {
            let variant = part.choose(self.rng).copied().unwrap_or_default();
            if !story.is_empty() {
                story.push_str(if self.rng.random_bool(0.3) {
                    "\n\n"
                } else {
                    " "
                });
            }
            let text = self.expand(variant);
            story.push_str(&text);
        }
        capitalise(&story)
    }

    /// Fills choices and slots of one template.
    fn expand(&mut self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some(start) = rest.find(['[', '{']) {
            text.push_str(&rest[..start]);
            let close = if rest[start..].starts_with('[') {
                ']'
            } else {
                '}'
            };
            let Some(length) = rest[start..].find(close) else {
                break;
            };
            let inside = &rest[start + 1..start + length];
            rest = &rest[start + length + 1..];
            if close == ']' {
                let sides: Vec<&str> = inside.split('|').collect();
                let side = sides.choose(self.rng).copied().unwrap_or_default();
                text.push_str(&self.expand(side));
            } else {
                text.push_str(&self.slot(inside));
            }
        }
        text + rest
    }

    /// The word for `name`, `number:list`, or either after `a `.
    fn slot(&mut self, slot: &str) -> String {
        if let Some(noun) = slot.strip_prefix("a ") {
            let word = self.slot(noun);
            return format!("{} {word}", if takes_an(&word) { "an" } else { "a" });
        }
        let (key, list) = slot.split_once(':').unwrap_or((slot, slot));
        if let Some(word) = self.bound.get(key) {
            return word.clone();
        }
        let word = self.draw(list);
        if list != key {
            self.bind(key, &word);
        }
        word
    }
}

/// Whether a word begins with the sound of a vowel.
fn takes_an(word: &str) -> bool {
    let silent = ["honest", "hour"];
    let consonant = ["uni", "use", "ewe", "eu", "one"];
    let starts = |list: &[&str]| list.iter().any(|start| word.starts_with(start));
    starts(&silent) || word.starts_with(['a', 'e', 'i', 'o', 'u', 'é']) && !starts(&consonant)
}

/// Capital letters where sentences and spoken words begin.
fn capitalise(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let (mut begin, mut inside, mut interrupted) = (true, false, false);
    let mut previous = ' ';
    for letter in text.chars() {
        if letter == '"' {
            inside = !inside;
            if inside {
                begin = !interrupted;
            } else {
                interrupted = previous == ',';
                // After !" and ?" the sentence may go on, as the template writes it.
                begin = previous == '.';
            }
            result.push(letter);
        } else if letter.is_whitespace() {
            begin |= matches!(previous, '.' | '!' | '?') || letter == '\n';
            interrupted &= !begin;
            result.push(letter);
        } else {
            if begin {
                result.extend(letter.to_uppercase());
            } else {
                result.push(letter);
            }
            begin = false;
        }
        previous = letter;
    }
    result
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stories_are_the_same_every_time_and_leave_no_slot() {
        let first = stories(7, 300_000);
        assert_eq!(first, stories(7, 300_000));
        assert_ne!(first[0], stories(8, 1000)[0]);
        for story in &first {
            assert!(!story.contains(['{', '}', '[', ']', '|']), "{story}");
            assert!(story.len() > 300, "{story}");
        }
    }

    #[test]
    fn stories_are_varied() {
        let stories = stories(1337, 1_000_000);
        let different: BTreeSet<&String> = stories.iter().collect();
        assert_eq!(different.len(), stories.len());
        let words: BTreeSet<String> = stories
            .iter()
            .flat_map(|story| story.split(|c: char| !c.is_alphabetic()))
            .map(str::to_lowercase)
            .collect();
        assert!(words.len() > 3000, "{} words", words.len());
    }

    #[test]
    fn articles_follow_the_sound() {
        for word in [
            "apple",
            "urn",
            "hourglass",
            "unlucky",
            "éclair",
            "honest",
            "old",
        ] {
            assert!(takes_an(word), "{word}");
        }
        for word in ["unicorn", "useful", "ewe", "house", "yew", "unique"] {
            assert!(!takes_an(word), "{word}");
        }
    }

    #[test]
    fn lists_have_no_entry_twice() {
        for (name, text) in LISTS {
            let all = entries(name, text);
            let different: BTreeSet<&&str> = all.iter().collect();
            assert_eq!(all.len(), different.len(), "{name}");
            assert!(
                all.iter()
                    .all(|word| *word == word.trim() && !word.is_empty()),
                "{name}"
            );
        }
    }

    #[test]
    fn sentences_and_speech_begin_with_capitals() {
        let text = "in a hut lived Tom. \"stop!\" he said. \"work,\" said Ann, \"comes first.\" they ran.\n\nit rained.";
        let wanted = "In a hut lived Tom. \"Stop!\" he said. \"Work,\" said Ann, \"comes first.\" They ran.\n\nIt rained.";
        assert_eq!(capitalise(text), wanted);
    }
}
