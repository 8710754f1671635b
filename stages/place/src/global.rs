//! Global placement: wire length against electrostatic density, by Nesterov's method.
//!
//! After Lu et al., "ePlace: Electrostatics-based placement using fast Fourier transform and Nesterov's method"
//! (TODAES 2015), with the weighted-average wire length of Hsu, Chang and Balabanov (DAC 2011). Positions are cell centres in
//! µm. Everything runs in one order on one thread, so the result depends on nothing but the problem.

use crate::field::Field;
use crate::problem::Problem;

/// How a run of global placement is led.
#[derive(Debug, Clone, Copy)]
pub struct GlobalParams {
    /// Ends when this part of the cell area is where density is above the target.
    pub stop_overflow: f64,
    /// Density that cells may reach; the room above the mean stays open for cells to gather.
    pub target_density: f64,
    pub max_iterations: usize,
    /// Weight of density at the start, as part of the weight that balances it with wire length. Small (1e-4) when cells begin
    /// in one heap, near 0.1 when they are spread already.
    pub first_weight: f64,
    /// Growth of the half-perimeter in one iteration, as part of what it will be in the end, at which the weight of density
    /// stands still: more is quicker, less is better.
    pub pace: f64,
    /// Seed of the small noise that parts cells at the start.
    pub seed: u64,
}

/// Positions of cell centres, µm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Positions {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

/// What a run says about itself while it works: iteration, overflow, half-perimeter in µm.
pub type Report<'a> = &'a mut dyn FnMut(usize, f64, f64);

/// Places all cells of a problem. `widths` (µm) may be greater than the cells' own, to keep room around them;
/// `start` continues from known positions.
pub fn place(
    problem: &Problem,
    widths: &[f64],
    start: Option<&Positions>,
    params: GlobalParams,
    report: Report,
) -> Positions {
    let mut placer = Placer::new(problem, widths, params);
    let begin = placer.start(start);
    placer.optimise(begin, report)
}

/// Most that the weight of density grows in one iteration.
const MOST_GROWTH: f64 = 1.06;

/// A movable rectangle: a cell or a filler.
struct Body {
    width: f64,
    height: f64,
    /// Charge: its area.
    area: f64,
}

struct Placer<'a> {
    problem: &'a Problem,
    params: GlobalParams,
    cells: usize,
    bodies: Vec<Body>,
    bins: usize,
    /// Core: lower left corner and bin size, µm.
    x0: f64,
    y0: f64,
    bin_x: f64,
    bin_y: f64,
    target: f64,
    field: Field,
    density: Vec<f32>,
    field_x: Vec<f32>,
    field_y: Vec<f32>,
    /// Pin offsets from cell centres or fixed places, µm.
    pin_x: Vec<f64>,
    pin_y: Vec<f64>,
    pin_count: Vec<f64>,
    gamma: f64,
    lambda: f64,
    wire_x: Vec<f64>,
    wire_y: Vec<f64>,
    weights: Vec<[f64; 2]>,
}

struct Xorshift(u64);
impl Xorshift {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl<'a> Placer<'a> {
    fn new(problem: &'a Problem, widths: &[f64], params: GlobalParams) -> Self {
        let core = problem.core;
        let (width, height) = (
            f64::from(core.width()) * 1e-3,
            f64::from(core.height()) * 1e-3,
        );
        let row = f64::from(problem.row_height) * 1e-3;
        let cells = problem.cells.len();
        let mut bins = 16;
        while bins * bins < cells && bins < 256 {
            bins *= 2;
        }
        let mut bodies: Vec<Body> = widths
            .iter()
            .map(|&width| Body {
                width,
                height: row,
                area: width * row,
            })
            .collect();
        let cell_area: f64 = bodies.iter().map(|body| body.area).sum();
        // Fixed cells are few and small: they only lower the room, evenly.
        let room = problem.free_area() * 1e-6;
        let target = params.target_density.max((cell_area / room).min(1.0));
        let filler_area = (room * target - cell_area).max(0.0);
        let mean = if cells == 0 {
            row
        } else {
            cell_area / cells as f64 / row
        };
        let filler_width = (2.0 * mean).max(0.1);
        let fillers = (filler_area / (filler_width * row)) as usize;
        bodies.extend((0..fillers).map(|_| Body {
            width: filler_width,
            height: row,
            area: filler_width * row,
        }));
        let (bin_x, bin_y) = (width / bins as f64, height / bins as f64);
        let (x0, y0) = (f64::from(core.x0) * 1e-3, f64::from(core.y0) * 1e-3);
        let mut pin_count = vec![0.0; bodies.len()];
        for (cell, count) in pin_count.iter_mut().enumerate().take(cells) {
            *count = problem
                .nets_of(cell)
                .iter()
                .filter(|net| problem.net_weight[**net as usize] > 0.0)
                .count() as f64;
        }
        let half_height = row / 2.0;
        let (mut pin_x, mut pin_y) = (Vec::new(), Vec::new());
        for pin in &problem.pins {
            let (x, y) = (
                f64::from(pin.offset.x) * 1e-3,
                f64::from(pin.offset.y) * 1e-3,
            );
            match pin.cell {
                Some(cell) => {
                    pin_x.push(x - f64::from(problem.cells[cell as usize].width) * 0.5e-3);
                    pin_y.push(y - half_height);
                }
                None => {
                    pin_x.push(x);
                    pin_y.push(y);
                }
            }
        }
        let grid = vec![0.0f32; bins * bins];
        Self {
            problem,
            params,
            cells,
            wire_x: vec![0.0; cells],
            wire_y: vec![0.0; cells],
            bodies,
            bins,
            x0,
            y0,
            bin_x,
            bin_y,
            target,
            field: Field::new(bins),
            density: grid.clone(),
            field_x: grid.clone(),
            field_y: grid,
            pin_x,
            pin_y,
            pin_count,
            gamma: 0.0,
            lambda: 0.0,
            weights: Vec::new(),
        }
    }

    fn start(&self, start: Option<&Positions>) -> Positions {
        let mut random = Xorshift(self.params.seed ^ 0x9e37_79b9_7f4a_7c15);
        let (width, height) = (self.bin_x * self.bins as f64, self.bin_y * self.bins as f64);
        let mut at = Positions {
            x: Vec::with_capacity(self.bodies.len()),
            y: Vec::with_capacity(self.bodies.len()),
        };
        for index in 0..self.bodies.len() {
            let (dx, dy) = (random.next(), random.next());
            if index < self.cells {
                if let Some(start) = start {
                    at.x.push(start.x[index]);
                    at.y.push(start.y[index]);
                } else {
                    at.x.push(self.x0 + width * (0.5 + 0.02 * (dx - 0.5)));
                    at.y.push(self.y0 + height * (0.5 + 0.02 * (dy - 0.5)));
                }
            } else {
                at.x.push(self.x0 + width * dx);
                at.y.push(self.y0 + height * dy);
            }
        }
        self.clamp(&mut at);
        at
    }

    fn clamp(&self, at: &mut Positions) {
        let (x1, y1) = (
            self.x0 + self.bin_x * self.bins as f64,
            self.y0 + self.bin_y * self.bins as f64,
        );
        for (index, body) in self.bodies.iter().enumerate() {
            let (half_x, half_y) = (body.width / 2.0, body.height / 2.0);
            at.x[index] = at.x[index].max(self.x0 + half_x).min(x1 - half_x);
            at.y[index] = at.y[index].max(self.y0 + half_y).min(y1 - half_y);
        }
    }

    /// Bins that a body's charge covers, spread over √2 bins at least (ePlace §4.1), with the factor that keeps its area.
    fn spread(&self, index: usize, at: &Positions) -> (f64, f64, f64, f64, f64) {
        let body = &self.bodies[index];
        let width = body.width.max(self.bin_x * std::f64::consts::SQRT_2);
        let height = body.height.max(self.bin_y * std::f64::consts::SQRT_2);
        let scale = body.area / (width * height);
        let x = (at.x[index] - self.x0 - width / 2.0) / self.bin_x;
        let y = (at.y[index] - self.y0 - height / 2.0) / self.bin_y;
        (x, x + width / self.bin_x, y, y + height / self.bin_y, scale)
    }

    /// Fills the density map (area in each bin over the bin's area); returns the overflow of the cells alone.
    fn fill_density(&mut self, at: &Positions) -> f64 {
        let bins = self.bins;
        self.density.fill(0.0);
        let mut overflow = 0.0;
        let mut total = 0.0;
        for index in 0..self.bodies.len() {
            if index == self.cells {
                overflow = self
                    .density
                    .iter()
                    .map(|value| (f64::from(*value) - self.target).max(0.0))
                    .sum();
                total = self.density.iter().map(|value| f64::from(*value)).sum();
            }
            let (x0, x1, y0, y1, scale) = self.spread(index, at);
            for_overlap(bins, x0, x1, |bx, part_x| {
                for_overlap(bins, y0, y1, |by, part_y| {
                    self.density[bx * bins + by] += (part_x * part_y * scale) as f32;
                });
            });
        }
        if self.bodies.len() == self.cells {
            overflow = self
                .density
                .iter()
                .map(|value| (f64::from(*value) - self.target).max(0.0))
                .sum();
            total = self.density.iter().map(|value| f64::from(*value)).sum();
        }
        if total > 0.0 {
            overflow / total
        } else {
            0.0
        }
    }

    /// Gradient of wire length (in `wire_x`, `wire_y`); returns the true half-perimeter in µm.
    fn wire_gradient(&mut self, at: &Positions) -> f64 {
        self.wire_x.fill(0.0);
        self.wire_y.fill(0.0);
        let mut length = 0.0;
        let mut weights = std::mem::take(&mut self.weights);
        for net in 0..self.problem.nets() {
            let weight = self.problem.net_weight[net];
            if weight == 0.0 {
                continue;
            }
            let range = self.problem.net_start[net]..self.problem.net_start[net + 1];
            length += weight
                * axis(
                    self.problem,
                    range.clone(),
                    &self.pin_x,
                    &at.x,
                    self.gamma,
                    weight,
                    &mut self.wire_x,
                    &mut weights,
                );
            length += weight
                * axis(
                    self.problem,
                    range,
                    &self.pin_y,
                    &at.y,
                    self.gamma,
                    weight,
                    &mut self.wire_y,
                    &mut weights,
                );
        }
        self.weights = weights;
        length
    }

    /// Preconditioned gradient of wire length and density at `at`.
    fn gradient(&mut self, at: &Positions, out: &mut Positions) -> (f64, f64) {
        let overflow = self.fill_density(at);
        let (mut fx, mut fy) = (
            std::mem::take(&mut self.field_x),
            std::mem::take(&mut self.field_y),
        );
        self.field.solve(&self.density, &mut fx, &mut fy);
        let length = self.wire_gradient(at);
        let bins = self.bins;
        let (mut wire_sum, mut charge_sum) = (0.0, 0.0);
        for index in 0..self.bodies.len() {
            let (x0, x1, y0, y1, scale) = self.spread(index, at);
            let (mut force_x, mut force_y) = (0.0, 0.0);
            for_overlap(bins, x0, x1, |bx, part_x| {
                for_overlap(bins, y0, y1, |by, part_y| {
                    let part = part_x * part_y * scale;
                    force_x += part * f64::from(fx[bx * bins + by]);
                    force_y += part * f64::from(fy[bx * bins + by]);
                });
            });
            // Bins to µm²; the field is in bins, so a unit of it is one bin wide.
            let unit = self.bin_x * self.bin_y;
            force_x *= unit * self.bin_x;
            force_y *= unit * self.bin_y;
            let (wire_x, wire_y) = if index < self.cells {
                (self.wire_x[index], self.wire_y[index])
            } else {
                (0.0, 0.0)
            };
            wire_sum += wire_x.abs() + wire_y.abs();
            charge_sum += force_x.abs() + force_y.abs();
            let precondition =
                (self.pin_count[index] + self.lambda * self.bodies[index].area).max(1.0);
            out.x[index] = (wire_x - self.lambda * force_x) / precondition;
            out.y[index] = (wire_y - self.lambda * force_y) / precondition;
        }
        (self.field_x, self.field_y) = (fx, fy);
        if self.lambda == 0.0 {
            // First call: weigh both sides alike.
            self.lambda = if charge_sum > 0.0 {
                wire_sum / charge_sum
            } else {
                1.0
            };
        }
        (length, overflow)
    }

    /// What a good placement has about, µm: two and a half distances of neighbouring cells for each net.
    fn expected_length(&self) -> f64 {
        let area = self.bin_x * self.bin_y * (self.bins * self.bins) as f64;
        2.5 * (area / self.cells.max(1) as f64).sqrt() * self.problem.nets().max(1) as f64
    }

    fn set_gamma(&mut self, overflow: f64) {
        // RePlAce: from 80 bins where all cells overlap down to a tenth of a bin.
        let base = 4.0 * (self.bin_x + self.bin_y);
        self.gamma = base * 10f64.powf((overflow.min(1.0) - 0.1) * 20.0 / 9.0 - 1.0);
    }

    fn optimise(&mut self, begin: Positions, report: Report) -> Positions {
        let empty = Positions {
            x: vec![0.0; self.bodies.len()],
            y: vec![0.0; self.bodies.len()],
        };
        let overflow = self.fill_density(&begin);
        self.set_gamma(overflow);
        let mut gradient = empty.clone();
        self.gradient(&begin, &mut gradient);
        self.lambda *= self.params.first_weight;
        let (mut length, _) = self.gradient(&begin, &mut gradient);
        let mut major = begin.clone();
        let mut reference = begin;
        // A first step of a tenth of a bin for the strongest gradient.
        let strongest = gradient
            .x
            .iter()
            .chain(&gradient.y)
            .fold(1e-12f64, |most, value| most.max(value.abs()));
        let mut step = 0.1 * self.bin_x / strongest;
        let mut momentum = 1.0f64;
        let (mut next_major, mut next_reference, mut next_gradient) =
            (empty.clone(), empty.clone(), empty);
        let mut best: Option<(f64, Positions)> = None;
        for iteration in 0..self.params.max_iterations {
            let next_momentum = (1.0 + (4.0 * momentum * momentum + 1.0).sqrt()) / 2.0;
            let pull = (momentum - 1.0) / next_momentum;
            let mut found = (0.0, 0.0);
            for _ in 0..4 {
                advance(
                    &major,
                    &reference,
                    &gradient,
                    step,
                    pull,
                    &mut next_major,
                    &mut next_reference,
                );
                self.clamp(&mut next_major);
                self.clamp(&mut next_reference);
                found = self.gradient(&next_reference, &mut next_gradient);
                let estimate = distance(&next_reference, &reference)
                    / distance(&next_gradient, &gradient).max(1e-18);
                let enough = estimate > 0.95 * step;
                step = estimate;
                if enough {
                    break;
                }
            }
            std::mem::swap(&mut major, &mut next_major);
            std::mem::swap(&mut reference, &mut next_reference);
            std::mem::swap(&mut gradient, &mut next_gradient);
            momentum = next_momentum;
            let (new_length, overflow) = found;
            report(iteration, overflow, new_length);
            // The density's weight grows while wire length holds still, less when it grows.
            let growth = (new_length - length) / self.expected_length();
            let factor = MOST_GROWTH * MOST_GROWTH.powf(-growth / self.params.pace);
            self.lambda *= factor.clamp(0.95, MOST_GROWTH);
            length = new_length;
            self.set_gamma(overflow);
            if overflow < 0.3 && best.as_ref().is_none_or(|(least, _)| overflow < *least) {
                best = Some((overflow, major.clone()));
            }
            if overflow < self.params.stop_overflow && iteration > 30 {
                break;
            }
            if !new_length.is_finite() {
                break;
            }
        }
        let mut at = best.map_or(major, |(_, at)| at);
        at.x.truncate(self.cells);
        at.y.truncate(self.cells);
        at
    }
}

fn advance(
    major: &Positions,
    reference: &Positions,
    gradient: &Positions,
    step: f64,
    pull: f64,
    next_major: &mut Positions,
    next_reference: &mut Positions,
) {
    let axis = |major: &[f64],
                reference: &[f64],
                gradient: &[f64],
                next_major: &mut [f64],
                next_reference: &mut [f64]| {
        for index in 0..major.len() {
            let value = reference[index] - step * gradient[index];
            next_major[index] = value;
            next_reference[index] = value + pull * (value - major[index]);
        }
    };
    axis(
        &major.x,
        &reference.x,
        &gradient.x,
        &mut next_major.x,
        &mut next_reference.x,
    );
    axis(
        &major.y,
        &reference.y,
        &gradient.y,
        &mut next_major.y,
        &mut next_reference.y,
    );
}

fn distance(a: &Positions, b: &Positions) -> f64 {
    let sum =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
    (sum(&a.x, &b.x) + sum(&a.y, &b.y)).sqrt()
}

/// Calls `each(bin, part)` for the bins that `low..high` (in bins) covers, clipped to the grid.
#[inline]
fn for_overlap(bins: usize, low: f64, high: f64, mut each: impl FnMut(usize, f64)) {
    let first = low.floor().max(0.0) as usize;
    let last = (high.ceil().max(0.0) as usize).min(bins);
    for bin in first..last {
        let part = high.min(bin as f64 + 1.0) - low.max(bin as f64);
        if part > 0.0 {
            each(bin, part);
        }
    }
}

/// Weighted-average wire length of one net along one axis: adds the gradient, returns the true length.
#[allow(clippy::too_many_arguments)] // The pieces of one inner loop.
fn axis(
    problem: &Problem,
    range: std::ops::Range<usize>,
    offsets: &[f64],
    centers: &[f64],
    gamma: f64,
    weight: f64,
    gradient: &mut [f64],
    terms: &mut Vec<[f64; 2]>,
) -> f64 {
    let place = |pin: usize| {
        problem.pins[pin]
            .cell
            .map_or(0.0, |cell| centers[cell as usize])
            + offsets[pin]
    };
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    for pin in range.clone() {
        let at = place(pin);
        low = low.min(at);
        high = high.max(at);
    }
    terms.clear();
    let inverse = 1.0 / gamma;
    // Sums of e^(±x/γ) and x·e^(±x/γ), shifted to avoid overflow.
    let (mut plus, mut plus_x, mut minus, mut minus_x) = (0.0, 0.0, 0.0, 0.0);
    for pin in range.clone() {
        let at = place(pin);
        let up = ((at - high) * inverse).exp();
        let down = ((low - at) * inverse).exp();
        plus += up;
        plus_x += (at - high) * up;
        minus += down;
        minus_x += (at - low) * down;
        terms.push([up, down]);
    }
    let (mean_plus, mean_minus) = (plus_x / plus, minus_x / minus);
    for (pin, [up, down]) in range.zip(terms.iter()) {
        if let Some(cell) = problem.pins[pin].cell {
            let at = centers[cell as usize] + offsets[pin];
            let upper = up / plus * (1.0 + ((at - high) - mean_plus) * inverse);
            let lower = down / minus * (1.0 - ((at - low) - mean_minus) * inverse);
            gradient[cell as usize] += weight * (upper - lower);
        }
    }
    high - low
}
