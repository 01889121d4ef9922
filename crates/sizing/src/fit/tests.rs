//! Fits of exact points, of noisy ones, and of ones that nobody should trust.

use proptest::prelude::*;

use super::*;

const CURVE: Curve = Curve { lambda: 1_000.0, sigma: 0.02, kappa: 0.0005 };

fn point(connections: u32, throughput: f64) -> Point {
    Point::new(connections, throughput, None).unwrap()
}

fn on(curve: &Curve, numbers: &[u32]) -> Vec<Point> {
    numbers.iter().map(|n| point(*n, curve.throughput((*n).into()))).collect()
}

#[test]
fn exact_points_give_their_curve_back() {
    let fit = Fit::of(&on(&CURVE, &[1, 2, 4, 8, 16, 32, 44, 64, 128])).unwrap();
    assert!((fit.curve.lambda - 1_000.0).abs() < 1e-6, "{fit:?}");
    assert!((fit.curve.sigma - 0.02).abs() < 1e-9 && (fit.curve.kappa - 0.0005).abs() < 1e-11, "{fit:?}");
    assert_eq!((fit.confidence(), &*fit.doubts, fit.knee()), (Confidence::Good, &[][..], Knee { low: 20, high: 31 }));
    assert!(fit.r_squared > 0.999_999);
}

const NOISY: [(u32, f64); 7] =
    [(1, 955.0), (4, 3_720.0), (8, 6_800.0), (16, 10_850.0), (32, 14_330.0), (64, 14_100.0), (128, 10_300.0)];

#[test]
fn the_linear_form_of_noisy_points() {
    let curve = linear(&NOISY.map(|(n, x)| point(n, x)), &[1.0; 7]).unwrap();
    assert!((curve.lambda - 983.03).abs() < 0.005, "{curve:?}");
    assert!((curve.sigma - 0.02160).abs() < 5e-6, "{curve:?}");
    assert!((curve.kappa - 0.000521).abs() < 5e-7, "{curve:?}");
    assert!((curve.peak().unwrap() - 43.3).abs() < 0.05, "{curve:?}");
    assert!((curve.limit().unwrap() - 14_840.0).abs() < 5.0, "{curve:?}");
}

#[test]
fn polishing_brings_noisy_points_nearer() {
    let points = NOISY.map(|(n, x)| point(n, x));
    let fit = Fit::of(&points).unwrap();
    assert!(fit.r_squared > r_squared(&points, &linear(&points, &[1.0; 7]).unwrap()), "{fit:?}");
    assert!(fit.r_squared > 0.9999, "{fit:?}");
    // The noise was put on a curve whose peak is at 44.27.
    assert!((fit.curve.peak().unwrap() - 43.3).abs() < 0.1, "{fit:?}");
    assert_eq!(fit.confidence(), Confidence::Good, "{:?}", fit.doubts);
}

#[test]
fn one_bad_measurement_does_not_move_the_knee() {
    let mut points = on(&CURVE, &[1, 2, 4, 8, 16, 24, 32, 44, 64, 128]);
    points[6].throughput *= 0.4;
    let fit = Fit::of(&points).unwrap();
    let knee = fit.knee();
    assert!((19..=21).contains(&knee.low) && (30..=32).contains(&knee.high), "{knee:?}");
    assert_eq!(fit.doubts, [Doubt::Outliers(vec![32.0])]);
}

#[test]
fn growth_to_the_end_is_no_peak() {
    let straight = Curve { sigma: 0.0, kappa: 0.0, ..CURVE };
    let fit = Fit::of(&on(&straight, &[1, 2, 4, 8, 16, 32])).unwrap();
    assert_eq!(fit.doubts, [Doubt::PeakNotSeen { largest: 32.0 }]);
    assert_eq!(fit.knee(), Knee { low: 32, high: 32 }, "no more than was measured");
    let early = Fit::of(&on(&CURVE, &[1, 2, 4, 8, 12, 16])).unwrap();
    assert_eq!(early.doubts, [Doubt::PeakNotSeen { largest: 16.0 }]);
    assert_eq!(early.knee(), Knee { low: 16, high: 16 });
}

#[test]
fn better_than_straight_is_fitted_as_straight() {
    let points: Vec<Point> = [1, 2, 4, 8, 16, 32].map(|n| point(n, f64::from(n).powf(1.2) * 100.0)).to_vec();
    let fit = Fit::of(&points).unwrap();
    assert_eq!((fit.curve.sigma, fit.curve.kappa), (0.0, 0.0));
}

#[test]
fn few_points_and_wild_ones_are_doubted() {
    assert_eq!(Fit::of(&on(&CURVE, &[1, 8])), Err(Error::TooFewPoints { given: 2 }));
    assert_eq!(Fit::of(&[point(1, 5.0); 5]), Err(Error::TooFewPoints { given: 1 }));
    let few = Fit::of(&on(&CURVE, &[1, 32, 128])).unwrap();
    assert_eq!(few.doubts, [Doubt::FewPoints { given: 3 }]);
    let wild = [(1, 100.0), (2, 900.0), (4, 200.0), (8, 1_500.0), (16, 300.0), (32, 2_500.0), (64, 400.0)];
    let fit = Fit::of(&wild.map(|(n, x)| point(n, x))).unwrap();
    assert_eq!(fit.confidence(), Confidence::Poor, "{fit:?}");
    assert!(fit.doubts.iter().any(|doubt| matches!(doubt, Doubt::Scattered { .. })), "{fit:?}");
    assert_eq!(
        Fit::of(&vec![point(1, 1.0); POINTS_MAX + 1]),
        Err(Error::TooManyPoints { given: POINTS_MAX + 1, most: POINTS_MAX })
    );
}

#[test]
fn what_is_not_the_same_when_measured_again_is_doubted() {
    let mut points = on(&CURVE, &[1, 2, 4, 8, 16, 32, 64, 128]);
    let again: Vec<Point> =
        points.iter().map(|point| Point { throughput: point.throughput * 1.01, ..*point }).collect();
    points.extend(again);
    assert_eq!(Fit::of(&points).unwrap().doubts, []);
    points[4].throughput *= 0.6;
    let doubts = Fit::of(&points).unwrap().doubts;
    let unsettled = doubts.iter().find_map(|doubt| match doubt {
        Doubt::Unsettled { connections, off } => Some((&**connections, *off)),
        _ => None,
    });
    let (connections, off) = unsettled.unwrap();
    assert_eq!(connections, [16.0]);
    assert!((off - (1.01 / 0.6 - 1.0)).abs() < 1e-9, "{off}");
}

#[test]
fn latency_tells_that_connections_were_not_busy() {
    let mut points = on(&CURVE, &[1, 4, 16, 32, 64, 128]);
    for point in &mut points {
        point.latency = Some(Duration::from_secs_f64(point.connections / point.throughput));
    }
    assert_eq!(Fit::of(&points).unwrap().doubts, []);
    points[3].latency = points[3].latency.map(|latency| latency / 2);
    let fit = Fit::of(&points).unwrap();
    let [Doubt::NotBusy { connections, busy }] = &*fit.doubts else { panic!("{:?}", fit.doubts) };
    assert_eq!(*connections, 32.0);
    assert!((busy - 16.0).abs() < 1e-6);
}

#[test]
fn points_that_nobody_measured() {
    assert!(Point::new(0, 1.0, None).is_err());
    for throughput in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Point::new(1, throughput, None).is_err());
    }
}

proptest! {
    #[test]
    fn a_little_noise_keeps_the_knee(
        sigma in 0.005..0.2f64, kappa in 0.0002..0.005f64, noise in prop::collection::vec(-0.02..0.02f64, 10),
    ) {
        let curve = Curve { lambda: 500.0, sigma, kappa };
        let mut points = on(&curve, &[1, 2, 4, 8, 12, 16, 24, 48, 96, 128]);
        for (point, noise) in points.iter_mut().zip(noise) {
            point.throughput *= 1.0 + noise;
        }
        let fit = Fit::of(&points).unwrap();
        let high = fit.knee().high.into();
        let (most, got) = (curve.limit().unwrap(), curve.throughput(high));
        prop_assert!(got > 0.9 * most, "{high} connections do {got} of {most}, {fit:?}");
    }

    #[test]
    fn any_points_give_a_sound_curve_or_an_error(points in prop::collection::vec((1u32..2_000, 0.01..1e6f64), 1..40)) {
        let points: Vec<Point> = points.into_iter().map(|(n, x)| point(n, x)).collect();
        if let Ok(fit) = Fit::of(&points) {
            let Curve { lambda, sigma, kappa } = fit.curve;
            prop_assert!(lambda > 0.0 && lambda.is_finite() && sigma >= 0.0 && kappa >= 0.0, "{fit:?}");
            let knee = fit.knee();
            prop_assert!(1 <= knee.low && knee.low <= knee.high && f64::from(knee.high) <= fit.largest, "{fit:?}");
        }
    }
}

/// Throughput of `clients` that ask again as soon as they are answered and a `pause` is over, of a server that works on `slots`
/// statements at once, each for `service`, and slows down by the part `drag` with each further one.
///
/// Exact mean value analysis of a closed network with a station whose speed depends on its load (Reiser and Lavenberg, 1980).
fn closed(pause: f64, service: f64, slots: u32, drag: f64, clients: u32) -> f64 {
    let service = service * (1.0 + drag * f64::from(clients));
    let (mut throughput, mut present) = (0.0, vec![1.0]);
    for all in 1..=clients {
        let each = |at: u32| service / f64::from(at.min(slots));
        let response: f64 = (1..=all).map(|at| f64::from(at) * each(at) * present[at as usize - 1]).sum();
        throughput = f64::from(all) / (response + pause);
        let busy: Vec<f64> = (1..=all).map(|at| throughput * each(at) * present[at as usize - 1]).collect();
        let idle = (1.0 - busy.iter().sum::<f64>()).max(0.0);
        present = std::iter::once(idle).chain(busy).collect();
    }
    throughput
}

/// Numbers near 0, spread like a normal distribution, with the standard deviation 1.
fn noise(bits: &mut u64) -> f64 {
    let mut uniform = || {
        *bits ^= *bits << 13;
        *bits ^= *bits >> 7;
        *bits ^= *bits << 17;
        (*bits >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}

/// No server is a curve. What holds for a lock that all want, and for few and many processors, with and without harm by too
/// many connections, measured twice with a tenth of noise: the advised number does nearly the most.
#[test]
fn servers_that_are_no_curve_are_sized_well() {
    let numbers = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
    for (name, pause, service, slots, drag) in [
        ("a lock", 0.02, 0.002, 1, 0.0),
        ("a lock, dragging", 0.02, 0.002, 1, 0.004),
        ("one processor", 0.0002, 0.005, 1, 0.001),
        ("two processors", 0.0002, 0.005, 2, 0.0),
        ("two processors, dragging", 0.0002, 0.005, 2, 0.005),
        ("eight processors, dragging", 0.001, 0.005, 8, 0.003),
    ] {
        let truth: Vec<f64> = (1..=64).map(|clients| closed(pause, service, slots, drag, clients)).collect();
        let best = truth.iter().copied().fold(0.0, f64::max);
        for seed in 1..=40 {
            let mut bits = seed * 0x9e37_79b9;
            let twice = numbers.iter().chain(&numbers);
            let points: Vec<Point> =
                twice.map(|n| point(*n, truth[*n as usize - 1] * (1.0 + 0.1 * noise(&mut bits)).max(0.5))).collect();
            let high = Fit::of(&points).unwrap().knee().high;
            let part = truth[high as usize - 1] / best;
            assert!(part >= 0.95, "{name}, {seed}: {high} connections do {part} of the best");
            assert!(high <= 32, "{name}, {seed}: {high} connections are too many");
        }
    }
}

#[test]
fn a_curve_that_misses_its_points_is_told() {
    let points: Vec<Point> = [1, 2, 3, 4, 6, 8, 12, 16].map(|n| point(n, if n == 1 { 200.0 } else { 400.0 })).into();
    let fit = Fit::of(&points).unwrap();
    assert_eq!(fit.knee(), Knee { low: 2, high: 2 });
    assert_eq!(fit.throughput(2), 400.0);
    assert!(fit.is_corrected() && fit.doubts.contains(&Doubt::CurveMisses { seen: 2 }), "{:?}", fit.doubts);
}
