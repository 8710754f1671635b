//! Detailed placement: small moves that keep the placement legal and shorten the half-perimeter.

use nanoflow_layout::{Orient, Point};

use crate::legal::Legal;
use crate::problem::{PinRef, Problem};

/// A legal placement with its wire length, kept up to date move by move.
pub struct Detail<'a> {
    problem: &'a Problem,
    pub legal: Legal,
    /// Mirrored left to right.
    pub flipped: Vec<bool>,
    /// Half-perimeter of each net, nm.
    length: Vec<i64>,
    total: i64,
    /// Cells of each stretch from left to right.
    order: Vec<Vec<u32>>,
    /// Stretches of each row from left to right.
    by_row: Vec<Vec<u32>>,
    touched: Vec<u32>,
}

/// How far a cell looks around its best place, in rows and in neighbours.
const ROWS_AROUND: i32 = 3;
const NEIGHBOURS: usize = 4;

impl<'a> Detail<'a> {
    #[must_use]
    pub fn new(problem: &'a Problem, legal: Legal, flipped: Vec<bool>) -> Self {
        let mut order: Vec<Vec<u32>> = vec![Vec::new(); problem.segments.len()];
        for cell in 0..legal.site.len() {
            order[legal.segment[cell] as usize].push(cell as u32);
        }
        for cells in &mut order {
            cells.sort_by_key(|&cell| legal.site[cell as usize]);
        }
        let mut by_row: Vec<Vec<u32>> = vec![Vec::new(); problem.rows.len()];
        for (index, segment) in problem.segments.iter().enumerate() {
            by_row[segment.row].push(index as u32);
        }
        for stretches in &mut by_row {
            stretches.sort_by_key(|&index| problem.segments[index as usize].x0);
        }
        let mut detail = Self {
            problem,
            legal,
            flipped,
            length: Vec::new(),
            total: 0,
            order,
            by_row,
            touched: Vec::new(),
        };
        detail.length = (0..problem.nets())
            .map(|net| detail.net_length(net))
            .collect();
        detail.total = detail.length.iter().sum();
        detail
    }

    /// Half-perimeter of all nets with a weight, nm.
    #[must_use]
    pub fn hpwl(&self) -> i64 {
        self.total
    }

    /// Lower left corner of a cell and its orientation.
    #[must_use]
    pub fn placement(&self, cell: usize) -> (Point, Orient) {
        let row = &self.problem.rows[self.problem.segments[self.legal.segment[cell] as usize].row];
        let orient = match (row.orient, self.flipped[cell]) {
            (Orient::FS, false) => Orient::FS,
            (Orient::FS, true) => Orient::S,
            (_, true) => Orient::FN,
            (_, false) => Orient::N,
        };
        (Point::new(self.left(cell), row.y), orient)
    }

    #[must_use]
    pub fn stretches(&self) -> usize {
        self.order.len()
    }

    /// Cells of a stretch from left to right.
    #[must_use]
    pub fn cells_of(&self, stretch: usize) -> &[u32] {
        &self.order[stretch]
    }

    /// Whether no site is left between two cells.
    #[must_use]
    pub fn abut(&self, left: usize, right: usize) -> bool {
        self.left(left) + self.problem.cells[left].width >= self.left(right)
    }

    /// Mirrors a cell, whatever that does to its nets.
    pub fn mirror(&mut self, cell: usize) {
        self.flipped[cell] = !self.flipped[cell];
        self.touch(&[cell as u32]);
        self.commit();
    }

    /// Opens a site between places `index` and `index + 1` of a stretch: the cells up to the nearest free site move by one.
    /// Where no site is free, cells give up the room kept around them. False if there is none either.
    pub fn open_site(&mut self, stretch: usize, index: usize) -> bool {
        let free = |detail: &Self, before, after| {
            let (low, high) = detail.room(stretch, before, after);
            high > low
        };
        let last = self.order[stretch].len() - 1;
        let right = (index + 1..=last).find(|&place| free(self, Some(place), Some(place + 1)));
        let left = (0..=index)
            .rev()
            .find(|&place| free(self, place.checked_sub(1), Some(place)));
        let (places, step) = match (left, right) {
            (None, None) => return self.give_up_room(stretch) && self.open_site(stretch, index),
            (None, Some(right)) => (index + 1..=right, 1),
            (Some(left), Some(right)) if right - index <= index - left + 1 => {
                (index + 1..=right, 1)
            }
            (Some(left), _) => (left..=index, -1),
        };
        let moved = self.order[stretch][places].to_vec();
        for &cell in &moved {
            self.legal.site[cell as usize] += step;
        }
        self.touch(&moved);
        self.commit();
        true
    }

    /// Cells of a stretch take no more sites than they cover; none moves. False if none had more.
    fn give_up_room(&mut self, stretch: usize) -> bool {
        let mut given = false;
        for index in 0..self.order[stretch].len() {
            let cell = self.order[stretch][index] as usize;
            let left = self.left(cell);
            let own = (self.problem.cells[cell].width + self.problem.site_width - 1)
                / self.problem.site_width;
            given |= self.legal.sites[cell] > own;
            self.legal.sites[cell] = own;
            self.legal.site[cell] = (left - self.problem.core.x0) / self.problem.site_width;
        }
        given
    }

    /// The cell's left edge: in the middle of the sites it takes.
    fn left(&self, cell: usize) -> i32 {
        let own = self.problem.cells[cell].width / self.problem.site_width;
        let spare = (self.legal.sites[cell] - own) / 2;
        self.problem.core.x0 + (self.legal.site[cell] + spare) * self.problem.site_width
    }

    fn pin_at(&self, pin: &PinRef) -> Point {
        let Some(cell) = pin.cell else {
            return pin.offset;
        };
        let cell = cell as usize;
        let row = &self.problem.rows[self.problem.segments[self.legal.segment[cell] as usize].row];
        let x = if self.flipped[cell] {
            self.problem.cells[cell].width - pin.offset.x
        } else {
            pin.offset.x
        };
        let y = if row.orient == Orient::FS {
            self.problem.row_height - pin.offset.y
        } else {
            pin.offset.y
        };
        Point::new(self.left(cell) + x, row.y + y)
    }

    fn net_length(&self, net: usize) -> i64 {
        if self.problem.net_weight[net] == 0.0 {
            return 0;
        }
        let (mut x0, mut x1, mut y0, mut y1) = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
        for pin in self.problem.net(net) {
            let at = self.pin_at(pin);
            x0 = x0.min(at.x);
            x1 = x1.max(at.x);
            y0 = y0.min(at.y);
            y1 = y1.max(at.y);
        }
        i64::from(x1 - x0) + i64::from(y1 - y0)
    }

    /// Recomputes everything and compares.
    ///
    /// # Errors
    /// Says what does not agree.
    pub fn check(&self) -> Result<(), String> {
        if let Some(fault) = crate::legal::fault(self.problem, &self.legal) {
            return Err(fault);
        }
        for net in 0..self.problem.nets() {
            if self.net_length(net) != self.length[net] {
                return Err(format!(
                    "net {net}: {} is kept, {} is true",
                    self.length[net],
                    self.net_length(net)
                ));
            }
        }
        for (stretch, cells) in self.order.iter().enumerate() {
            let sorted = cells
                .windows(2)
                .all(|pair| self.legal.site[pair[0] as usize] < self.legal.site[pair[1] as usize]);
            if !sorted
                || cells
                    .iter()
                    .any(|&cell| self.legal.segment[cell as usize] != stretch as u32)
            {
                return Err(format!("the order of stretch {stretch} is wrong"));
            }
        }
        match self.length.iter().sum::<i64>() == self.total {
            true => Ok(()),
            false => Err("the total is wrong".into()),
        }
    }

    /// Nets of some cells, each once, into `touched`.
    fn touch(&mut self, cells: &[u32]) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        for &cell in cells {
            touched.extend_from_slice(self.problem.nets_of(cell as usize));
        }
        touched.sort_unstable();
        touched.dedup();
        self.touched = touched;
    }

    /// Change of length of the touched nets against what is kept.
    fn delta(&self) -> i64 {
        self.touched
            .iter()
            .map(|&net| self.net_length(net as usize) - self.length[net as usize])
            .sum()
    }

    fn commit(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for &net in &touched {
            let length = self.net_length(net as usize);
            self.total += length - self.length[net as usize];
            self.length[net as usize] = length;
        }
        self.touched = touched;
    }

    /// Free sites around place `index` of a stretch's order: end of the cell before, start of the one after.
    fn room(&self, stretch: usize, before: Option<usize>, after: Option<usize>) -> (i32, i32) {
        let segment = self.problem.segments[stretch];
        let to_site = |x: i32| (x - self.problem.core.x0) / self.problem.site_width;
        let cells = &self.order[stretch];
        let end = |index: usize| {
            cells
                .get(index)
                .map(|&cell| self.legal.site[cell as usize] + self.legal.sites[cell as usize])
        };
        let start = |index: usize| cells.get(index).map(|&cell| self.legal.site[cell as usize]);
        (
            before.and_then(end).unwrap_or_else(|| to_site(segment.x0)),
            after.and_then(start).unwrap_or_else(|| to_site(segment.x1)),
        )
    }

    fn place_in_order(&self, cell: usize) -> usize {
        let cells = &self.order[self.legal.segment[cell] as usize];
        cells.partition_point(|&other| self.legal.site[other as usize] < self.legal.site[cell])
    }

    /// The point where a cell's nets would be shortest: the middle of the median interval of the boxes of its nets without it.
    fn wish(&self, cell: usize) -> Option<Point> {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        for &net in self.problem.nets_of(cell) {
            if self.problem.net_weight[net as usize] == 0.0 {
                continue;
            }
            let (mut x0, mut x1, mut y0, mut y1) = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
            for pin in self
                .problem
                .net(net as usize)
                .iter()
                .filter(|pin| pin.cell != Some(cell as u32))
            {
                let at = self.pin_at(pin);
                x0 = x0.min(at.x);
                x1 = x1.max(at.x);
                y0 = y0.min(at.y);
                y1 = y1.max(at.y);
            }
            if x0 <= x1 {
                xs.extend([x0, x1]);
                ys.extend([y0, y1]);
            }
        }
        if xs.is_empty() {
            return None;
        }
        xs.sort_unstable();
        ys.sort_unstable();
        let middle = |list: &[i32]| (list[list.len() / 2 - 1] + list[list.len() / 2]) / 2;
        Some(Point::new(middle(&xs), middle(&ys)))
    }

    /// Moves a cell to free room or exchanges it with another, if that shortens the nets. True if it did.
    fn improve(&mut self, cell: usize) -> bool {
        let Some(wish) = self.wish(cell) else {
            return false;
        };
        let half = self.legal.sites[cell] / 2;
        let wish_site = (wish.x - self.problem.core.x0) / self.problem.site_width - half;
        let wish_row = (wish.y - self.problem.core.y0).div_euclid(self.problem.row_height);
        let mut best: Option<(i64, Move)> = None;
        for row in wish_row - ROWS_AROUND..=wish_row + ROWS_AROUND {
            let Some(stretches) = usize::try_from(row)
                .ok()
                .and_then(|row| self.by_row.get(row))
            else {
                continue;
            };
            let x = self.problem.core.x0 + wish_site * self.problem.site_width;
            let index = stretches
                .partition_point(|&stretch| self.problem.segments[stretch as usize].x1 <= x);
            let Some(&stretch) = stretches.get(index).or(stretches.last()) else {
                continue;
            };
            self.try_stretch(cell, stretch as usize, wish_site, &mut best);
        }
        let Some((_, found)) = best else { return false };
        self.apply(cell, found);
        true
    }

    fn try_stretch(
        &mut self,
        cell: usize,
        stretch: usize,
        wish: i32,
        best: &mut Option<(i64, Move)>,
    ) {
        let middle =
            self.order[stretch].partition_point(|&other| self.legal.site[other as usize] < wish);
        let from = middle.saturating_sub(NEIGHBOURS);
        let to = (middle + NEIGHBOURS).min(self.order[stretch].len());
        let own = (self.legal.segment[cell] as usize == stretch).then(|| self.place_in_order(cell));
        for index in from..=to {
            // Room before the cell at `index`; beside the cell itself, its own room counts too.
            let before = match own {
                Some(own) if index > 0 && own == index - 1 => own.checked_sub(1),
                _ => index.checked_sub(1),
            };
            let after = if own == Some(index) { index + 1 } else { index };
            let (low, high) = self.room(stretch, before, Some(after));
            if high - low >= self.legal.sites[cell] {
                let site = wish.clamp(low, high - self.legal.sites[cell]);
                self.consider(
                    cell,
                    Move::Shift {
                        stretch: stretch as u32,
                        site,
                    },
                    best,
                );
            }
            if index < to && own != Some(index) {
                let other = self.order[stretch][index];
                if let Some(exchange) = self.exchange(cell, other as usize, wish) {
                    self.consider(cell, exchange, best);
                }
            }
        }
    }

    /// The exchange of two cells, if each fits where the other is.
    fn exchange(&self, cell: usize, other: usize, wish: i32) -> Option<Move> {
        let (own_stretch, other_stretch) = (
            self.legal.segment[cell] as usize,
            self.legal.segment[other] as usize,
        );
        let (own, theirs) = (self.place_in_order(cell), self.place_in_order(other));
        if own_stretch == other_stretch && own.abs_diff(theirs) == 1 {
            // Neighbours: pack them in the other order within their common room.
            let first = own.min(theirs);
            let (low, high) = self.room(own_stretch, first.checked_sub(1), Some(first + 2));
            let total = self.legal.sites[cell] + self.legal.sites[other];
            let start = self.legal.site[cell]
                .min(self.legal.site[other])
                .clamp(low, high - total);
            let (site, other_site) = if own < theirs {
                (start + self.legal.sites[other], start)
            } else {
                (start, start + self.legal.sites[cell])
            };
            return Some(Move::Exchange {
                other: other as u32,
                site,
                other_site,
            });
        }
        let (low, high) = self.room(other_stretch, theirs.checked_sub(1), Some(theirs + 1));
        if high - low < self.legal.sites[cell] {
            return None;
        }
        let site = wish.clamp(low, high - self.legal.sites[cell]);
        let (low, high) = self.room(own_stretch, own.checked_sub(1), Some(own + 1));
        if high - low < self.legal.sites[other] {
            return None;
        }
        let other_site = self.legal.site[cell].clamp(low, high - self.legal.sites[other]);
        Some(Move::Exchange {
            other: other as u32,
            site,
            other_site,
        })
    }

    fn consider(&mut self, cell: usize, candidate: Move, best: &mut Option<(i64, Move)>) {
        let delta = match candidate {
            Move::Shift { stretch, site } => {
                self.touch(&[cell as u32]);
                let old = (self.legal.segment[cell], self.legal.site[cell]);
                (self.legal.segment[cell], self.legal.site[cell]) = (stretch, site);
                let delta = self.delta();
                (self.legal.segment[cell], self.legal.site[cell]) = old;
                delta
            }
            Move::Exchange {
                other,
                site,
                other_site,
            } => {
                self.touch(&[cell as u32, other]);
                let other = other as usize;
                let old = (self.legal.site[cell], self.legal.site[other]);
                (self.legal.site[cell], self.legal.site[other]) = (site, other_site);
                self.legal.segment.swap(cell, other);
                let delta = self.delta();
                self.legal.segment.swap(cell, other);
                (self.legal.site[cell], self.legal.site[other]) = old;
                delta
            }
        };
        if delta < best.map_or(0, |(least, _)| least) {
            *best = Some((delta, candidate));
        }
    }

    fn remove(&mut self, cell: usize) {
        let place = self.place_in_order(cell);
        self.order[self.legal.segment[cell] as usize].remove(place);
    }

    fn insert(&mut self, cell: usize) {
        let place = self.place_in_order(cell);
        self.order[self.legal.segment[cell] as usize].insert(place, cell as u32);
    }

    fn apply(&mut self, cell: usize, found: Move) {
        match found {
            Move::Shift { stretch, site } => {
                self.touch(&[cell as u32]);
                self.remove(cell);
                (self.legal.segment[cell], self.legal.site[cell]) = (stretch, site);
                self.insert(cell);
            }
            Move::Exchange {
                other,
                site,
                other_site,
            } => {
                self.touch(&[cell as u32, other]);
                let other = other as usize;
                self.remove(cell);
                self.remove(other);
                self.legal.segment.swap(cell, other);
                (self.legal.site[cell], self.legal.site[other]) = (site, other_site);
                self.insert(cell);
                self.insert(other);
            }
        }
        self.commit();
    }

    /// Tries all orders of three neighbours, packed from where the first begins.
    fn reorder(&mut self, stretch: usize, index: usize) -> bool {
        const ORDERS: [[usize; 3]; 5] = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let Some(&[a, b, c]) = self.order[stretch]
            .get(index..index + 3)
            .and_then(|cells| cells.first_chunk::<3>())
        else {
            return false;
        };
        let cells = [a, b, c];
        let old = cells.map(|cell| self.legal.site[cell as usize]);
        // Gaps stay where they are in the sequence.
        let width = |cell: u32| self.legal.sites[cell as usize];
        let gaps = [old[1] - old[0] - width(a), old[2] - old[1] - width(b), 0];
        self.touch(&cells);
        let mut best = (0, None);
        for order in ORDERS {
            let mut site = old[0];
            for (place, &which) in order.iter().enumerate() {
                self.legal.site[cells[which] as usize] = site;
                site += self.legal.sites[cells[which] as usize] + gaps[place];
            }
            let delta = self.delta();
            if delta < best.0 {
                best = (
                    delta,
                    Some((order, cells.map(|cell| self.legal.site[cell as usize]))),
                );
            }
        }
        let sites = best.1.map_or(old, |(_, sites)| sites);
        for (cell, site) in cells.iter().zip(sites) {
            self.legal.site[*cell as usize] = site;
        }
        if let Some((order, _)) = best.1 {
            for (place, which) in order.into_iter().enumerate() {
                self.order[stretch][index + place] = cells[which];
            }
            self.commit();
        }
        best.1.is_some()
    }

    fn flip(&mut self, cell: usize) -> bool {
        self.touch(&[cell as u32]);
        self.flipped[cell] = !self.flipped[cell];
        if self.delta() < 0 {
            self.commit();
            return true;
        }
        self.flipped[cell] = !self.flipped[cell];
        false
    }

    /// Rounds of all moves until one gains less than one part in a thousand.
    pub fn run(&mut self, rounds: usize, report: &mut dyn FnMut(usize, i64)) {
        for round in 0..rounds {
            let before = self.total;
            for cell in 0..self.legal.site.len() {
                self.improve(cell);
            }
            for stretch in 0..self.order.len() {
                for index in 0..self.order[stretch].len() {
                    self.reorder(stretch, index);
                }
            }
            for cell in 0..self.legal.site.len() {
                self.flip(cell);
            }
            report(round, self.total);
            if before - self.total < before / 1000 {
                break;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Shift {
        stretch: u32,
        site: i32,
    },
    Exchange {
        other: u32,
        site: i32,
        other_site: i32,
    },
}
