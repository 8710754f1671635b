//! The electric field of a charge density on a square grid of bins with reflecting walls, by cosine series.
//!
//! Poisson's equation ∇²φ = −ρ with zero flux through the walls has the solution (Lu et al., ePlace, 2015)
//! φ = Σ a(u,v) / (w_u² + w_v²) · cos(w_u x) cos(w_v y), with a the cosine transform of ρ and w_u = π u / M; the field is −∇φ.
//! The transforms are products with M × M matrices: for the M used here (up to 256) that is quicker than it needs to be.

pub(crate) struct Field {
    size: usize,
    /// Row u: cos(w_u (x + ½)).
    cosine: Vec<f32>,
    /// The same, transposed.
    cosine_t: Vec<f32>,
    /// Row u: sin(w_u (x + ½)).
    sine: Vec<f32>,
    sine_t: Vec<f32>,
    scratch: Vec<f32>,
    coefficients: Vec<f32>,
    weighted: Vec<f32>,
}

impl Field {
    pub fn new(size: usize) -> Self {
        let angle =
            |u: usize, x: usize| std::f64::consts::PI * u as f64 * (x as f64 + 0.5) / size as f64;
        let mut cosine = vec![0.0; size * size];
        let mut cosine_t = cosine.clone();
        let mut sine = cosine.clone();
        let mut sine_t = cosine.clone();
        for u in 0..size {
            for x in 0..size {
                cosine[u * size + x] = angle(u, x).cos() as f32;
                cosine_t[x * size + u] = angle(u, x).cos() as f32;
                sine[u * size + x] = angle(u, x).sin() as f32;
                sine_t[x * size + u] = angle(u, x).sin() as f32;
            }
        }
        let zero = vec![0.0; size * size];
        Self {
            size,
            cosine,
            cosine_t,
            sine,
            sine_t,
            scratch: zero.clone(),
            coefficients: zero.clone(),
            weighted: zero,
        }
    }

    /// `density` is row-major by x: `density[x * size + y]`. The field is in units of density times bins.
    pub fn solve(&mut self, density: &[f32], field_x: &mut [f32], field_y: &mut [f32]) {
        let size = self.size;
        // coefficients = C · density · Cᵀ
        multiply(&self.cosine, density, &mut self.scratch, size);
        multiply(&self.scratch, &self.cosine_t, &mut self.coefficients, size);
        let scale = 4.0 / (size * size) as f64;
        let step = std::f64::consts::PI / size as f64;
        for (axis, out) in [(0, field_x), (1, field_y)] {
            for u in 0..size {
                for v in 0..size {
                    let (wu, wv) = (u as f64 * step, v as f64 * step);
                    let edge = if u == 0 { 0.5 } else { 1.0 } * if v == 0 { 0.5 } else { 1.0 };
                    let along = if axis == 0 { wu } else { wv };
                    let weight = if u + v == 0 {
                        0.0
                    } else {
                        along / (wu * wu + wv * wv) * edge * scale
                    };
                    self.weighted[u * size + v] = self.coefficients[u * size + v] * weight as f32;
                }
            }
            // Back with sines along the axis of the field: out = Axᵀ · weighted · Ay.
            let left = if axis == 0 {
                &self.sine_t
            } else {
                &self.cosine_t
            };
            multiply(left, &self.weighted, &mut self.scratch, size);
            let right = if axis == 0 { &self.cosine } else { &self.sine };
            multiply(&self.scratch, right, out, size);
        }
    }
}

/// `out = a · b`, all `size` × `size`, row-major.
fn multiply(a: &[f32], b: &[f32], out: &mut [f32], size: usize) {
    for (row, out) in a.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
        out.fill(0.0);
        for (factor, line) in row.iter().zip(b.chunks_exact(size)) {
            for (sum, value) in out.iter_mut().zip(line) {
                *sum += factor * value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The divergence of the field of a smooth density is the density less its mean.
    #[test]
    fn field_solves_poisson() {
        // Not known to the compiler: LLVM 22.1 crashes on the loops below when it unrolls them for a constant.
        let size = std::hint::black_box(64);
        let mut density = vec![0.0f32; size * size];
        for x in 0..size {
            for y in 0..size {
                let (dx, dy) = (x as f32 - 20.0, y as f32 - 40.0);
                density[x * size + y] = 1.0 / (1.0 + (dx * dx + dy * dy) / 50.0);
            }
        }
        let mean: f32 = density.iter().sum::<f32>() / (size * size) as f32;
        let (mut fx, mut fy) = (vec![0.0; size * size], vec![0.0; size * size]);
        Field::new(size).solve(&density, &mut fx, &mut fy);
        let mut worst = 0.0f32;
        for x in 2..size - 2 {
            for y in 2..size - 2 {
                let at = |x: usize, y: usize| x * size + y;
                let divergence = (fx[at(x + 1, y)] - fx[at(x - 1, y)] + fy[at(x, y + 1)]
                    - fy[at(x, y - 1)])
                    / 2.0;
                worst = worst.max((divergence - (density[at(x, y)] - mean)).abs());
            }
        }
        assert!(worst < 0.02, "{worst}");
        // It pushes away from the hill.
        assert!(fx[30 * size + 40] > 0.0 && fx[10 * size + 40] < 0.0 && fy[20 * size + 50] > 0.0);
    }
}
