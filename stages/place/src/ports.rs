//! Ports go to the free slot at the die's edge that is nearest to the cells they are connected to.

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::ports::{slots, Slot};
use nanoflow_layout::Point;

/// Moves all ports that are not fixed. `at` gives each component's place.
pub fn assign(design: &mut Design, at: &dyn Fn(usize) -> Point) {
    let mut wishes: Vec<(usize, Point)> = Vec::new();
    let center = design.die.center();
    let mut wish = vec![center; design.pins.len()];
    for net in &design.nets {
        let cells: Vec<Point> = net
            .terminals
            .iter()
            .filter_map(|terminal| match terminal {
                Terminal::Pin { component, .. } => Some(at(*component)),
                Terminal::Port(_) => None,
            })
            .collect();
        let count = cells.len() as i64;
        for terminal in &net.terminals {
            if let (Terminal::Port(pin), true) = (terminal, count > 0) {
                let sum = cells.iter().fold((0i64, 0i64), |sum, at| {
                    (sum.0 + i64::from(at.x), sum.1 + i64::from(at.y))
                });
                wish[*pin] = Point::new((sum.0 / count) as i32, (sum.1 / count) as i32);
            }
        }
    }
    let mut free: Vec<Option<Slot>> = slots(design.die).into_iter().map(Some).collect();
    for (index, pin) in design.pins.iter().enumerate() {
        let fixed = pin
            .ports
            .iter()
            .any(|port| port.placement.is_some_and(|placement| placement.fixed));
        if pin.special || fixed {
            // A slot under a fixed port is taken.
            for port in pin.ports.iter().filter_map(|port| port.placement) {
                free.iter_mut()
                    .filter(|slot| slot.is_some_and(|slot| slot.at == port.at))
                    .for_each(|slot| *slot = None);
            }
        } else {
            wishes.push((index, wish[index]));
        }
    }
    // Those nearest to an edge have the fewest good slots: they choose first.
    let edge = |at: Point| {
        let die = design.die;
        (at.x - die.x0)
            .min(die.x1 - at.x)
            .min(at.y - die.y0)
            .min(die.y1 - at.y)
    };
    wishes.sort_by_key(|(index, at)| (edge(*at), *index));
    for (index, wish) in wishes {
        let best = (0..free.len())
            .filter_map(|place| free[place].map(|slot| (slot.at.distance(wish), place)))
            .min();
        if let Some((_, place)) = best {
            if let Some(slot) = free[place].take() {
                design.pins[index].ports = vec![slot.port()];
            }
        }
    }
}
