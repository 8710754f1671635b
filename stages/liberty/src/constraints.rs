//! Setup and hold times of flip-flops: how near the clock's edge data may move.

use std::collections::BTreeMap;

use crate::bench::{Accuracy, Bench};
use crate::combinational::{vectors, Event, Vectors};
use crate::corner::{ramp, MIN_LOAD};
use crate::library::{Constraint, Table};
use crate::logic::Logic;
use crate::sequential::{deaf, transition, Data, Pins, Script, QUIET_SLEW};
use crate::LibertyError;

/// A setup or hold time is where the delay from clock to output has grown by this part, as in the published library.
const DEGRADATION: f64 = 0.10;
/// The search ends when a good and a bad margin are this near, ns, or the delay has grown by nearly what is allowed: by `e^-0.1` of it.
const TOLERANCE: f64 = 0.006;
const NEAR: f64 = 0.1;
/// Growth that is not lost in the simulator's own error.
const SEEN: f64 = 0.004;
/// No setup or hold time is longer, ns.
const LIMIT: f64 = 4.0;
/// A margin at which data is surely early enough, ns.
const RELAXED: f64 = 1.5;
/// Near the limit the delay's growth falls by a factor of e in some such margin, ns. Only a guess for where to look next.
const DECAY: f64 = 0.04;

/// One number of the setup and hold tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hold: bool,
    /// Direction of the data edge that must not come too late (setup) or too early (hold).
    rising: bool,
    /// Transition of the clock and of data.
    row: usize,
    column: usize,
}

/// What was found for a data input.
pub struct Found(BTreeMap<Place, f64>);

/// A margin that was tried, and the logarithm of the delay's growth over what is allowed, where it can be seen.
#[derive(Debug, Clone, Copy)]
struct Trial {
    margin: f64,
    excess: Option<f64>,
}

/// The search for one number.
#[derive(Debug, Clone)]
struct Search {
    place: Place,
    /// Delay from clock to output when data is far away.
    relaxed: f64,
    /// The longest margin that is too short, and the shortest that is long enough.
    bad: Option<Trial>,
    good: Option<Trial>,
    next: f64,
    /// How far to go while one of the two is not known.
    step: f64,
    found: Option<f64>,
}

impl Search {
    /// Takes the delay at `next` and says where to look then.
    fn learn(&mut self, delay: Option<f64>) {
        let growth = delay.map(|delay| delay / self.relaxed - 1.0);
        let is_good = growth.is_some_and(|growth| growth <= DEGRADATION);
        let seen = growth.filter(|growth| *growth > SEEN);
        let trial = Trial {
            margin: self.next,
            excess: seen.map(|growth| (growth / DEGRADATION).ln()),
        };
        *(if is_good {
            &mut self.good
        } else {
            &mut self.bad
        }) = Some(trial);
        if is_good && trial.excess.is_some_and(|excess| excess > -NEAR) {
            self.found = Some(trial.margin);
            return;
        }
        match (self.bad, self.good) {
            (Some(bad), Some(good)) if good.margin - bad.margin <= TOLERANCE => {
                self.found = Some(good.margin);
            }
            (Some(bad), Some(good)) => self.next = between(bad, good),
            (Some(bad), None) => {
                self.next = bad.margin + self.step;
                self.step *= 2.0;
            }
            (None, good) => {
                let from = good.map_or(self.next, |good| good.margin);
                let guess = good.and_then(|good| good.excess);
                self.next = from + guess.map_or(-self.step, |excess| DECAY * excess - TOLERANCE);
                self.step *= 2.0;
            }
        }
    }
}

/// Where in a bracket to look: the growth goes exponentially with the margin.
fn between(bad: Trial, good: Trial) -> f64 {
    let width = good.margin - bad.margin;
    let guess = match (bad.excess, good.excess) {
        (Some(bad_excess), Some(good_excess)) => {
            let slope = (bad_excess - good_excess) / width;
            good.margin + (good_excess + NEAR / 2.0) / slope
        }
        (None, Some(excess)) => good.margin + DECAY * (excess + NEAR / 2.0),
        (Some(excess), None) => bad.margin + DECAY * (excess + NEAR / 2.0),
        (None, None) => f64::NAN,
    };
    let inside = bad.margin + 0.05 * width..good.margin - 0.05 * width;
    if inside.contains(&guess) {
        guess
    } else {
        bad.margin + width / 2.0
    }
}

/// Setup and hold tables of one data input. `other` is what was found for another input of the cell: a place to start.
pub fn measure(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    data: Data,
    slews: &[f64],
    other: Option<&Found>,
) -> Result<Found, LibertyError> {
    let relaxed = relaxed(bench, logic, pins, data, slews)?;
    let mut found = Found(BTreeMap::new());
    let last = slews.len() - 1;
    let is_corner = |place: &Place| {
        place.row * place.column == 0 && {
            let far = |at: usize| at == 0 || at == last;
            far(place.row) && far(place.column)
        }
    };
    let (corners, rest): (Vec<Place>, Vec<Place>) = places(slews.len()).partition(is_corner);
    for (places, step) in [(corners, 0.15), (rest, 0.05)] {
        let start = |place: Place| {
            let known = other.and_then(|other| other.0.get(&place).copied());
            known.unwrap_or_else(|| guess(place, slews, &found.0))
        };
        let begin = |place: Place| Search {
            place,
            relaxed: relaxed
                .get(&(place.row, captured(place, data)))
                .copied()
                .unwrap_or(0.0),
            bad: None,
            good: None,
            next: start(place),
            step: if other.is_some() { 0.05 } else { step },
            found: None,
        };
        let mut searches: Vec<Search> = places.into_iter().map(begin).collect();
        finish(bench, logic, pins, data, slews, &mut searches)?;
        let solved = searches.iter().map(|one| (one.place, one.found));
        found
            .0
            .extend(solved.filter_map(|(place, value)| Some((place, value?))));
    }
    Ok(found)
}

fn places(count: usize) -> impl Iterator<Item = Place> {
    let sides = [(false, true), (false, false), (true, true), (true, false)];
    sides.into_iter().flat_map(move |(hold, rising)| {
        (0..count * count).map(move |at| Place {
            hold,
            rising,
            row: at / count,
            column: at % count,
        })
    })
}

/// Where to start. Between three corners of a table the plane through them; before they are known, what a flip-flop of this
/// library has at most corners. A bad guess costs time, no accuracy.
fn guess(place: Place, slews: &[f64], found: &BTreeMap<Place, f64>) -> f64 {
    let slew = |at: usize| slews.get(at).copied().unwrap_or(0.0);
    let last = slews.len() - 1;
    let corner = |row: usize, column: usize| {
        found.get(&Place {
            row,
            column,
            ..place
        })
    };
    let known = (corner(0, 0), corner(last, 0), corner(0, last));
    if let (Some(origin), Some(clock), Some(data)) = known {
        let part = |at: usize| (slew(at) - slew(0)) / (slew(last) - slew(0));
        return origin + (clock - origin) * part(place.row) + (data - origin) * part(place.column);
    }
    let setup = 0.1 + 0.3 * slew(place.column) - 0.1 * slew(place.row);
    if place.hold {
        -setup
    } else {
        setup
    }
}

/// All searches side by side, one simulator process for each round.
fn finish(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    data: Data,
    slews: &[f64],
    searches: &mut [Search],
) -> Result<(), LibertyError> {
    loop {
        let open: Vec<(Place, f64)> = searches
            .iter()
            .filter(|one| one.found.is_none())
            .map(|one| (one.place, one.next))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        if let Some((place, _)) = open.iter().find(|(_, margin)| margin.abs() > LIMIT) {
            let kind = if place.hold { "hold" } else { "setup" };
            let reason = format!("a {kind} time of it is longer than {LIMIT} ns in simulation");
            return Err(LibertyError::cell(bench.cell, reason));
        }
        let delays = try_all(bench, logic, pins, data, slews, &open)?;
        let waiting = searches.iter_mut().filter(|one| one.found.is_none());
        for (search, delay) in waiting.zip(delays) {
            search.learn(delay);
        }
    }
}

/// The state that the clock's edge must bring: the new data's for setup, the old data's for hold.
fn captured(place: Place, data: Data) -> bool {
    (place.rising != data.2) != place.hold
}

/// Delay from clock to output by the clock's transition and the captured state, with data far away.
fn relaxed(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    data: Data,
    slews: &[f64],
) -> Result<BTreeMap<(usize, bool), f64>, LibertyError> {
    let tries: Vec<(Place, f64)> = places(slews.len())
        .filter(|place| !place.hold && place.column == 0)
        .map(|place| (place, RELAXED))
        .collect();
    let delays = try_all(bench, logic, pins, data, slews, &tries)?;
    let mut relaxed = BTreeMap::new();
    for ((place, _), delay) in tries.iter().zip(delays) {
        let delay = delay.ok_or_else(|| deaf(bench.cell))?;
        relaxed.insert((place.row, captured(*place, data)), delay);
    }
    Ok(relaxed)
}

/// Delays from clock to output with the data edge `margin` before (setup) or after (hold) the clock's; `None` where the state that
/// must be captured is not.
fn try_all(
    bench: &Bench,
    logic: &Logic,
    pins: &Pins,
    data: Data,
    slews: &[f64],
    tries: &[(Place, f64)],
) -> Result<Vec<Option<f64>>, LibertyError> {
    let mut runs = Vec::new();
    let mut events = Vec::new();
    for (place, margin) in tries {
        let (clock_slew, data_slew) = (slews[place.row], slews[place.column]);
        let captured = captured(*place, data);
        // First the opposite of what is to be captured goes in.
        let mut script = Script::new(logic, pins, data, !captured);
        script.pulse();
        if place.hold {
            script.data(QUIET_SLEW, captured);
        }
        let offset = if place.hold { *margin } else { -*margin };
        let before = (ramp(data_slew) / 2.0 - offset).max(ramp(clock_slew) / 2.0);
        let middle = script.now + before;
        let start = middle - ramp(clock_slew) / 2.0;
        let data_start = middle + offset - ramp(data_slew) / 2.0;
        script.ramp(data.0, data_start, data_slew, place.rising);
        script.now = start;
        script.clock(clock_slew, true, 0.0);
        // Long enough for a slow data edge and a metastable output to show.
        let end = middle + ramp(clock_slew) / 2.0 + 1.5;
        let rising = true;
        let event = Event {
            start,
            middle,
            end,
            rising,
        };
        events.push((captured, event));
        script.now = end.max(data_start + ramp(data_slew) + 0.1);
        runs.push(script.run(vec![MIN_LOAD * 4.0]));
    }
    let waves = bench.simulate(&runs, Accuracy::Comparison)?;
    let mut delays = Vec::new();
    for (waves, (captured, event)) in waves.iter().zip(&events) {
        let Vectors { time, .. } = vectors(bench, waves)?;
        let seen = transition(bench, waves, &time, *captured, event)?;
        // A hold failure may show as an output that moves and comes back.
        let output = bench
            .outputs
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        let last = bench.voltage(waves, output)?.last().copied().unwrap_or(0.0);
        let stays = (last > bench.corner.volts / 2.0) == *captured;
        delays.push(seen.filter(|_| stays).map(|seen| seen.at - event.middle));
    }
    Ok(delays)
}

impl Found {
    /// The tables, as a library has them.
    pub fn constraints(&self, clock: &str, slews: &[f64]) -> Vec<Constraint> {
        let table = |hold: bool, rising: bool| {
            let mut table = Table::new(slews, slews);
            let here = |place: &&Place| place.hold == hold && place.rising == rising;
            for place in self.0.keys().filter(here) {
                table.set(place.row, place.column, self.0[place]);
            }
            table
        };
        [false, true]
            .map(|hold| Constraint {
                hold,
                clock: clock.to_string(),
                rise: table(hold, true),
                fall: table(hold, false),
            })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flip-flop whose delay grows by `0.1·exp((limit − margin)/decay)`, and that is lost where it has doubled.
    fn solve(limit: f64, decay: f64, start: f64) -> (f64, usize) {
        let place = Place {
            hold: false,
            rising: true,
            row: 0,
            column: 0,
        };
        let mut search = Search {
            place,
            relaxed: 0.3,
            bad: None,
            good: None,
            next: start,
            step: 0.15,
            found: None,
        };
        for count in 1..40 {
            let growth = 0.1 * ((limit - search.next) / decay).exp();
            search.learn((growth < 1.0).then_some(0.3 * (1.0 + growth)));
            if let Some(found) = search.found {
                return (found, count);
            }
        }
        panic!("{search:?}");
    }

    #[test]
    fn the_search_ends_near_the_limit_wherever_it_starts() {
        let mut trials = 0;
        for (number, limit) in [-0.61, -0.1, 0.03, 0.27, 0.62, 1.4].into_iter().enumerate() {
            for decay in [0.01, 0.03, 0.08] {
                for start in [limit - 0.5, limit - 0.02, limit + 0.01, limit + 0.3] {
                    let (found, count) = solve(limit, decay, start);
                    let off = found - limit;
                    assert!(
                        (-1e-9..TOLERANCE.max(decay * NEAR) + 1e-9).contains(&off),
                        "{number} {decay} {start}: {off}"
                    );
                    trials += count;
                }
            }
        }
        // Halving a range of 4 ns down to 6 ps takes ten trials.
        assert!(trials < 72 * 7, "{trials}");
    }
}
