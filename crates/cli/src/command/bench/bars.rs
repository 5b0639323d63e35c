//! The time of a job by its steps, drawn: a pair of bars per number of steps.

use std::fmt::Write;

use super::chart::{BLUE, LEFT, RED, RIGHT, begin};
use super::report::FanOutPoint;

const TOP: f64 = 60.0;
const FLOOR: f64 = 300.0;
const BOTTOM: f64 = 350.0;
/// Width of a bar, and the gap between the two of a pair.
const BAR: f64 = 36.0;
const GAP: f64 = 4.0;
/// Lines of the grid, the floor not counted.
const GRID: usize = 4;

/// An SVG picture of the points of the last store; nothing without points.
pub(super) fn draw(points: &[FanOutPoint]) -> Option<String> {
    let store = points.last()?.store;
    let of_store = points.iter().filter(|point| point.store == store);
    let points: Vec<&FanOutPoint> = of_store.collect();
    let times = points
        .iter()
        .flat_map(|point| [point.side_by_side_s, point.one_by_one_s]);
    // Whole seconds at every line of the grid.
    let lines = GRID as f64;
    let most = (times.fold(0.0, f64::max) / lines).ceil().max(1.0) * lines;
    let mut svg = begin(BOTTOM);
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"20\">seconds of one job, its steps of 2 s each ({store})</text>"
    );
    legend(&mut svg, LEFT, BLUE, "side by side");
    legend(&mut svg, LEFT + 130.0, RED, "one by one");
    grid(&mut svg, most);
    let pitch = (RIGHT - LEFT) / points.len() as f64;
    for (place, point) in points.into_iter().enumerate() {
        let middle = LEFT + pitch * (place as f64 + 0.5);
        let left = middle - BAR - GAP / 2.0;
        bar(
            &mut svg,
            left,
            point.side_by_side_s / most,
            BLUE,
            point.side_by_side_s,
        );
        bar(
            &mut svg,
            middle + GAP / 2.0,
            point.one_by_one_s / most,
            RED,
            point.one_by_one_s,
        );
        let _ = writeln!(
            svg,
            "<text class=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            FLOOR + 18.0,
            point.steps
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">steps of the job</text></svg>",
        (LEFT + RIGHT) / 2.0,
        BOTTOM - 10.0
    );
    Some(svg)
}

fn legend(svg: &mut String, x: f64, color: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"30\" width=\"12\" height=\"12\" fill=\"{color}\"/><text x=\"{}\" y=\"40\">{text}</text>",
        x + 18.0
    );
}

fn grid(svg: &mut String, most: f64) {
    for line in 0..=GRID {
        let share = line as f64 / GRID as f64;
        let y = height(share);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            most * share
        );
    }
}

/// Where a share of the tallest bar ends.
fn height(share: f64) -> f64 {
    FLOOR - (FLOOR - TOP) * share
}

fn bar(svg: &mut String, x: f64, share: f64, color: &str, seconds: f64) {
    let top = height(share);
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{BAR}\" height=\"{:.1}\" fill=\"{color}\"/>\
         <text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{seconds:.2}</text>",
        FLOOR - top,
        x + BAR / 2.0,
        top - 4.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_of_one_store_are_as_tall_as_their_times() {
        let points = [
            FanOutPoint::new("sqlite", 1, 9.0, 9.0),
            FanOutPoint::new("redis", 1, 2.0, 2.0),
            FanOutPoint::new("redis", 4, 2.004, 8.0),
        ];
        let svg = draw(&points).unwrap();
        let heights: Vec<&str> = svg
            .split("width=\"36\" height=\"")
            .skip(1)
            .map(|bar| bar.split('"').next().unwrap())
            .collect();
        assert_eq!(heights, ["60.0", "60.0", "60.1", "240.0"]);
        assert!(svg.contains("(redis)") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(draw(&[]), None);
    }
}
