//! Downloads as bars over time, drawn: who downloads when, for each number at a time.

use std::fmt::Write;

use super::report::Lanes;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 620.0;
/// Height of one download, and room above a panel.
const ROW: f64 = 9.0;
const GAP: f64 = 34.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}\
    .grid{stroke:#ddd}.bar{fill:#1f6fb2}.middle{text-anchor:middle}.end{text-anchor:end}";

/// An SVG picture of the runs under one axis; nothing where nothing was downloaded.
pub(super) fn draw(runs: &[Lanes]) -> Option<String> {
    let ends = runs.iter().flat_map(|run| &run.downloads);
    let last = ends.map(|download| download.end_s).fold(0.0, f64::max);
    if last == 0.0 {
        return None;
    }
    let rows: usize = runs.iter().map(|run| run.downloads.len()).sum();
    let bottom = rows as f64 * ROW + runs.len() as f64 * GAP;
    let height = bottom + 44.0;
    let seconds = last.ceil();
    let x = |at: f64| LEFT + (RIGHT - LEFT) * at / seconds;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\
         <style>{STYLE}</style><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for second in (0..=seconds as usize).step_by(2) {
        let at = x(second as f64);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} 10V{bottom:.1}\"/><text class=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{second}</text>",
            bottom + 18.0
        );
    }
    let mut top = 0.0;
    for run in runs {
        top += GAP;
        panel(&mut svg, run, top, x);
        top += run.downloads.len() as f64 * ROW;
    }
    let _ = writeln!(
        svg,
        "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">seconds; one bar is one image being downloaded</text></svg>",
        (LEFT + RIGHT) / 2.0,
        bottom + 36.0
    );
    Some(svg)
}

fn panel(svg: &mut String, run: &Lanes, top: f64, x: impl Fn(f64) -> f64) {
    let ends = run.downloads.iter().map(|download| download.end_s);
    let all = ends.fold(0.0, f64::max);
    let _ = writeln!(
        svg,
        "<text class=\"end title\" x=\"{:.1}\" y=\"{:.1}\">{} at a time</text>\
         <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{all:.2} s</text>",
        LEFT - 10.0,
        top + 12.0,
        run.at_once,
        LEFT - 10.0,
        top + 28.0
    );
    for (row, download) in run.downloads.iter().enumerate() {
        let (begin, end) = (x(download.begin_s), x(download.end_s));
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{begin:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            top + row as f64 * ROW,
            end - begin,
            ROW - 2.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Download;
    use super::*;

    #[test]
    fn every_download_is_a_bar_inside_the_picture() {
        let bar = |begin_s, end_s| Download { begin_s, end_s };
        let one = Lanes::new(1, vec![bar(0.0, 2.0), bar(2.0, 4.0)]);
        let two = Lanes::new(2, vec![bar(0.0, 2.0), bar(0.0, 2.1)]);
        let svg = draw(&[one, two]).unwrap();
        assert_eq!(svg.matches("class=\"bar\"").count(), 4);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for bar in svg.split("class=\"bar\" x=\"").skip(1) {
            let (x, rest) = bar.split_once('"').unwrap();
            let width = rest
                .split("width=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            let (x, width): (f64, f64) = (x.parse().unwrap(), width.parse().unwrap());
            assert!(x >= LEFT && x + width <= RIGHT + 0.2, "{bar}");
        }
        assert_eq!(draw(&[]), None);
    }
}
