//! Points, rectangles, the eight orientations of DEF, and the placement transform.

/// Database unit: 1 nm.
pub type Dbu = i32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Point {
    pub x: Dbu,
    pub y: Dbu,
}

impl Point {
    #[must_use]
    pub const fn new(x: Dbu, y: Dbu) -> Self {
        Self { x, y }
    }
    /// Manhattan distance.
    #[must_use]
    pub fn distance(self, other: Point) -> i64 {
        i64::from((self.x - other.x).abs()) + i64::from((self.y - other.y).abs())
    }
}

/// Axis-parallel rectangle; `x0 <= x1`, `y0 <= y1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rect {
    pub x0: Dbu,
    pub y0: Dbu,
    pub x1: Dbu,
    pub y1: Dbu,
}

impl Rect {
    /// From any two opposite corners.
    #[must_use]
    pub fn new(xa: Dbu, ya: Dbu, xb: Dbu, yb: Dbu) -> Self {
        Self {
            x0: xa.min(xb),
            y0: ya.min(yb),
            x1: xa.max(xb),
            y1: ya.max(yb),
        }
    }
    /// Around a centre with half widths.
    #[must_use]
    pub fn around(center: Point, half_width: Dbu, half_height: Dbu) -> Self {
        Self {
            x0: center.x - half_width,
            y0: center.y - half_height,
            x1: center.x + half_width,
            y1: center.y + half_height,
        }
    }
    #[must_use]
    pub fn width(&self) -> Dbu {
        self.x1 - self.x0
    }
    #[must_use]
    pub fn height(&self) -> Dbu {
        self.y1 - self.y0
    }
    /// nm².
    #[must_use]
    pub fn area(&self) -> i64 {
        i64::from(self.width()) * i64::from(self.height())
    }
    #[must_use]
    pub fn center(&self) -> Point {
        Point::new(
            (self.x0 + self.x1).div_euclid(2),
            (self.y0 + self.y1).div_euclid(2),
        )
    }
    #[must_use]
    pub fn shift(&self, by: Point) -> Self {
        Self {
            x0: self.x0 + by.x,
            y0: self.y0 + by.y,
            x1: self.x1 + by.x,
            y1: self.y1 + by.y,
        }
    }
    /// Grown by `by` on all sides.
    #[must_use]
    pub fn grow(&self, by: Dbu) -> Self {
        Self {
            x0: self.x0 - by,
            y0: self.y0 - by,
            x1: self.x1 + by,
            y1: self.y1 + by,
        }
    }
    /// Common area or edge or corner.
    #[must_use]
    pub fn touches(&self, other: &Rect) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.y0 <= other.y1 && other.y0 <= self.y1
    }
    /// Common area.
    #[must_use]
    pub fn overlaps(&self, other: &Rect) -> bool {
        self.x0 < other.x1 && other.x0 < self.x1 && self.y0 < other.y1 && other.y0 < self.y1
    }
    #[must_use]
    pub fn contains(&self, point: Point) -> bool {
        self.x0 <= point.x && point.x <= self.x1 && self.y0 <= point.y && point.y <= self.y1
    }
    #[must_use]
    pub fn encloses(&self, other: &Rect) -> bool {
        self.x0 <= other.x0 && other.x1 <= self.x1 && self.y0 <= other.y0 && other.y1 <= self.y1
    }
    #[must_use]
    pub fn intersection(&self, other: &Rect) -> Option<Self> {
        let cut = Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        };
        (cut.x0 <= cut.x1 && cut.y0 <= cut.y1).then_some(cut)
    }
    #[must_use]
    pub fn union(&self, other: &Rect) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
    /// Square of the Euclidean distance between the two (0 when they touch), nm².
    #[must_use]
    pub fn distance_squared(&self, other: &Rect) -> i64 {
        let dx = i64::from((other.x0 - self.x1).max(self.x0 - other.x1).max(0));
        let dy = i64::from((other.y0 - self.y1).max(self.y0 - other.y1).max(0));
        dx * dx + dy * dy
    }
}

/// The eight orientations, named as in DEF. FN is mirrored at the y axis, FS at the x axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Orient {
    #[default]
    N,
    S,
    E,
    W,
    FN,
    FS,
    FE,
    FW,
}

impl Orient {
    pub const ALL: [Orient; 8] = [
        Orient::N,
        Orient::S,
        Orient::E,
        Orient::W,
        Orient::FN,
        Orient::FS,
        Orient::FE,
        Orient::FW,
    ];

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|orient| orient.name() == word)
    }
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Orient::N => "N",
            Orient::S => "S",
            Orient::E => "E",
            Orient::W => "W",
            Orient::FN => "FN",
            Orient::FS => "FS",
            Orient::FE => "FE",
            Orient::FW => "FW",
        }
    }
    /// Rows (a, b), (c, d) of the matrix that maps (x, y) to (a·x + b·y, c·x + d·y).
    #[must_use]
    pub fn matrix(self) -> [[i32; 2]; 2] {
        match self {
            Orient::N => [[1, 0], [0, 1]],
            Orient::S => [[-1, 0], [0, -1]],
            Orient::E => [[0, 1], [-1, 0]],
            Orient::W => [[0, -1], [1, 0]],
            Orient::FN => [[-1, 0], [0, 1]],
            Orient::FS => [[1, 0], [0, -1]],
            Orient::FE => [[0, -1], [-1, 0]],
            Orient::FW => [[0, 1], [1, 0]],
        }
    }
    /// Width and height are exchanged.
    #[must_use]
    pub fn is_sideways(self) -> bool {
        matches!(self, Orient::E | Orient::W | Orient::FE | Orient::FW)
    }
    /// Mirrored left to right within its row (for the four upright ones).
    #[must_use]
    pub fn mirrored_x(self) -> bool {
        matches!(self, Orient::FN | Orient::S)
    }
}

/// Maps a cell's coordinates to the design's: orientation first, then the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transform {
    pub orient: Orient,
    pub offset: Point,
}

impl Transform {
    /// The transform of a cell of `width` × `height` whose oriented outline has its lower left corner at `at`,
    /// as DEF and LEF mean a placement.
    #[must_use]
    pub fn placed(at: Point, orient: Orient, width: Dbu, height: Dbu) -> Self {
        let outline = Self {
            orient,
            offset: Point::default(),
        }
        .rect(Rect::new(0, 0, width, height));
        Self {
            orient,
            offset: Point::new(at.x - outline.x0, at.y - outline.y0),
        }
    }
    #[must_use]
    pub fn point(&self, point: Point) -> Point {
        let [[a, b], [c, d]] = self.orient.matrix();
        Point::new(
            a * point.x + b * point.y + self.offset.x,
            c * point.x + d * point.y + self.offset.y,
        )
    }
    #[must_use]
    pub fn rect(&self, rect: Rect) -> Rect {
        let (low, high) = (
            self.point(Point::new(rect.x0, rect.y0)),
            self.point(Point::new(rect.x1, rect.y1)),
        );
        Rect::new(low.x, low.y, high.x, high.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placed_outline_has_its_corner_where_asked() {
        for orient in Orient::ALL {
            let transform = Transform::placed(Point::new(100, 200), orient, 30, 70);
            let outline = transform.rect(Rect::new(0, 0, 30, 70));
            let (width, height) = if orient.is_sideways() {
                (70, 30)
            } else {
                (30, 70)
            };
            assert_eq!(
                outline,
                Rect::new(100, 200, 100 + width, 200 + height),
                "{orient:?}"
            );
            assert_eq!(Orient::parse(orient.name()), Some(orient));
        }
    }

    #[test]
    fn mirrored_rows_put_the_bottom_on_top() {
        let transform = Transform::placed(Point::new(0, 0), Orient::FS, 460, 2720);
        assert_eq!(transform.point(Point::new(100, 0)), Point::new(100, 2720));
        let transform = Transform::placed(Point::new(0, 0), Orient::FN, 460, 2720);
        assert_eq!(transform.point(Point::new(100, 10)), Point::new(360, 10));
        let east = Transform {
            orient: Orient::E,
            offset: Point::default(),
        };
        assert_eq!(
            east.point(Point::new(1, 0)),
            Point::new(0, -1),
            "E turns clockwise"
        );
    }

    #[test]
    fn distances() {
        let a = Rect::new(0, 0, 10, 10);
        assert_eq!(a.distance_squared(&Rect::new(13, 14, 20, 20)), 25);
        assert_eq!(a.distance_squared(&Rect::new(10, 0, 20, 20)), 0);
        assert!(a.touches(&Rect::new(10, 10, 20, 20)) && !a.overlaps(&Rect::new(10, 10, 20, 20)));
    }
}
