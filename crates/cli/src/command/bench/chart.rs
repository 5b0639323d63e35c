//! The curve of batch size, drawn: throughput above, latency below, one axis of batch sizes.

use std::fmt::Write;

use super::report::{CurvePoint, grouped};

pub(super) const WIDTH: f64 = 640.0;
pub(super) const LEFT: f64 = 80.0;
pub(super) const RIGHT: f64 = 620.0;
/// Height of one panel, and where they begin.
const PANEL: f64 = 150.0;
const TOPS: [f64; 2] = [40.0, 250.0];
const BOTTOM: f64 = 450.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}\
    .grid{stroke:#ddd}.line{fill:none;stroke-width:2}.middle{text-anchor:middle}.end{text-anchor:end}";
pub(super) const BLUE: &str = "#1f6fb2";
pub(super) const RED: &str = "#c0392b";

/// An SVG picture of the curve; nothing of fewer than two points.
pub(super) fn draw(curve: &[CurvePoint]) -> Option<String> {
    if curve.len() < 2 {
        return None;
    }
    let mut svg = begin(BOTTOM);
    let rates: Vec<f64> = curve.iter().map(|point| point.jobs_per_s).collect();
    panel(
        &mut svg,
        TOPS[0],
        "jobs per second",
        curve,
        &[("", BLUE, rates)],
    );
    let p50: Vec<f64> = curve.iter().map(|point| point.p50_ms).collect();
    let p99: Vec<f64> = curve.iter().map(|point| point.p99_ms).collect();
    let latencies = [("p50", BLUE, p50), ("p99", RED, p99)];
    panel(
        &mut svg,
        TOPS[1],
        "ms for one step: claim and settle",
        curve,
        &latencies,
    );
    let middle = (LEFT + RIGHT) / 2.0;
    let _ = writeln!(
        svg,
        "<text class=\"middle\" x=\"{middle}\" y=\"{:.1}\">jobs in a batch, one step in flight</text></svg>",
        BOTTOM - 8.0
    );
    Some(svg)
}

/// An empty picture, `height` high, to be ended with `</svg>`.
pub(super) fn begin(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\
         <style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

/// One panel: a logarithmic grid, and a line per series.
fn panel(
    svg: &mut String,
    top: f64,
    title: &str,
    curve: &[CurvePoint],
    series: &[(&str, &str, Vec<f64>)],
) {
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"{:.1}\">{title}</text>",
        top - 12.0
    );
    let all = || {
        series
            .iter()
            .flat_map(|(.., values)| values.iter().copied())
    };
    let least = all().fold(f64::INFINITY, f64::min).log10().floor();
    let most = all().fold(0.0, f64::max).log10().ceil().max(least + 1.0);
    let y = |value: f64| top + PANEL * (most - value.log10()) / (most - least);
    let last = (curve.len() - 1) as f64;
    let x = |at: usize| LEFT + (RIGHT - LEFT) * at as f64 / last;
    for power in least as i32..=most as i32 {
        let (value, at) = (10f64.powi(power), y(10f64.powi(power)));
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            grouped(value)
        );
    }
    for (at, point) in curve.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(at),
            top + PANEL + 18.0,
            point.batch
        );
    }
    for (index, (name, color, values)) in series.iter().enumerate() {
        let places = values.iter().enumerate();
        let places: Vec<String> = places
            .map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke=\"{color}\" points=\"{}\"/>",
            places.join(" ")
        );
        if let Some(end) = values.last().filter(|_| !name.is_empty()) {
            let _ = writeln!(
                svg,
                "<text class=\"end\" style=\"fill:{color}\" x=\"{RIGHT}\" y=\"{:.1}\">{name}</text>",
                // Lines may end close together: the first is named below it, others above.
                y(*end) + if index == 0 { 16.0 } else { -6.0 }
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_inside_the_picture() {
        let point = |batch, rate| CurvePoint::new(batch, rate, 0.1, 0.4);
        let svg = draw(&[point(1, 9_000.0), point(256, 120_000.0)]).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        let lines = svg.split("points=\"").skip(1);
        for place in lines.flat_map(|line| line.split('"').next().unwrap().split(' ')) {
            let (x, y) = place.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (LEFT..=RIGHT).contains(&x) && (0.0..=BOTTOM).contains(&y),
                "{place}"
            );
        }
        assert_eq!(draw(&[point(1, 9_000.0)]), None);
    }
}
