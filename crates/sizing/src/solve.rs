//! Three linear equations.

/// A square matrix of the three parameters.
pub(crate) type Matrix = [[f64; 3]; 3];

/// Solves `matrix · x = right` for the parameters that are free; the others are 0. `None`: there is no one solution.
///
/// The matrix is one of normal equations: symmetric, not negative. Rows are scaled to their diagonal, as parameters are of
/// very different sizes, and the largest pivot is taken.
pub(crate) fn solve(matrix: &Matrix, right: &[f64; 3], free: [bool; 3]) -> Option<[f64; 3]> {
    let scale: [f64; 3] = std::array::from_fn(|at| if matrix[at][at] > 0.0 { matrix[at][at].sqrt() } else { 1.0 });
    // Augmented, scaled; what is not free becomes the equation x = 0.
    let mut rows: [[f64; 4]; 3] = std::array::from_fn(|row| {
        std::array::from_fn(|column| match column {
            _ if !free[row] => f64::from(u8::from(row == column)),
            3 => right[row] / scale[row],
            _ if !free[column] => 0.0,
            _ => matrix[row][column] / scale[row] / scale[column],
        })
    });
    for step in 0..3 {
        let pivot = (step..3).max_by(|a, b| rows[*a][step].abs().total_cmp(&rows[*b][step].abs()))?;
        rows.swap(step, pivot);
        if rows[step][step].abs() < 1e-12 {
            return None;
        }
        let top = rows[step];
        for row in &mut rows[step + 1..] {
            let factor = row[step] / top[step];
            for column in step..4 {
                row[column] -= factor * top[column];
            }
        }
    }
    let mut solution = [0.0; 3];
    for at in (0..3).rev() {
        let known: f64 = (at + 1..3).map(|column| rows[at][column] * solution[column]).sum();
        solution[at] = (rows[at][3] - known) / rows[at][at];
    }
    for at in 0..3 {
        solution[at] /= scale[at];
    }
    solution.iter().all(|x| x.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [bool; 3] = [true; 3];

    #[test]
    fn solves_what_has_a_solution() {
        let matrix = [[4.0, 2.0, 0.0], [2.0, 5.0, 1.0], [0.0, 1.0, 3.0]];
        let found = solve(&matrix, &[8.0, 15.0, 11.0], ALL).unwrap();
        for (found, expected) in found.into_iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn what_is_not_free_is_nothing() {
        let matrix = [[4.0, 2.0, 0.0], [2.0, 5.0, 1.0], [0.0, 1.0, 3.0]];
        let found = solve(&matrix, &[8.0, 15.0, 9.0], [true, false, true]).unwrap();
        assert!((found[0] - 2.0).abs() < 1e-12 && found[1] == 0.0 && (found[2] - 3.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn sizes_may_differ_by_far() {
        let matrix = [[1e-12, 0.0, 0.0], [0.0, 1e12, 0.0], [0.0, 0.0, 1.0]];
        let found = solve(&matrix, &[1e-12, 1e12, 1.0], ALL).unwrap();
        assert!(found.into_iter().all(|x| (x - 1.0).abs() < 1e-12));
    }

    #[test]
    fn no_single_solution() {
        assert_eq!(solve(&[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], &[1.0, 1.0, 1.0], ALL), None);
        assert_eq!(solve(&[[0.0; 3]; 3], &[0.0; 3], ALL), None);
    }
}
