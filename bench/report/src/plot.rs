//! The two kinds of plots: bars with the range of what was seen, and lines. Several of a kind share a picture.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use crate::Result;
use crate::results::Spread;

/// Values that stand beside each other, one a line.
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) bars: Vec<(String, Spread)>,
    /// Where a line is drawn that they are compared to.
    pub(crate) mark: Option<f64>,
}

/// What depends on a number, for several.
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) log_x: bool,
    pub(crate) log_y: bool,
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Lines {
    /// More than whose names find room beside the lines.
    fn has_many(&self) -> bool {
        self.lines.len() > 5
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 960;
const COLUMNS: usize = 2;

/// Draws panels of bars, two beside each other.
pub(crate) fn bars(file: &Path, panels: &[Bars]) -> Result<()> {
    let most = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0) as u32;
    picture(file, panels, 90 + 22 * most, bars_of)
}

/// Draws panels of lines, two beside each other.
pub(crate) fn lines(file: &Path, panels: &[Lines]) -> Result<()> {
    picture(file, panels, 340, lines_of)
}

fn picture<P>(
    file: &Path,
    panels: &[P],
    height: u32,
    draw: fn(&Area<'_>, &P) -> Result<()>,
) -> Result<()> {
    let columns = COLUMNS.min(panels.len());
    let rows = panels.len().div_ceil(COLUMNS);
    let root = SVGBackend::new(file, (WIDTH, height * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
        draw(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn bars_of(area: &Area<'_>, panel: &Bars) -> Result<()> {
    let known: Vec<_> = panel.bars.iter().filter(|(_, spread)| spread.is_known()).collect();
    let most =
        known.iter().map(|(_, spread)| spread.most).fold(panel.mark.unwrap_or(0.0), f64::max);
    let least = known.iter().map(|(_, spread)| spread.least).fold(0.0, f64::min);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(170)
        .build_cartesian_2d(
            least * 1.08..most * 1.08,
            (0..known.len().saturating_sub(1)).into_segmented(),
        )?;
    // The first is at the top.
    let at = |n: usize| known.len() - 1 - n;
    let name = |value: &SegmentValue<usize>| match value {
        SegmentValue::CenterOf(n) if *n < known.len() => known[at(*n)].0.clone(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(known.len())
        .y_label_formatter(&name)
        .label_style(("sans-serif", 12))
        .draw()?;
    chart.draw_series(known.iter().enumerate().map(|(n, (name, spread))| {
        let (bottom, top) = (SegmentValue::Exact(at(n)), SegmentValue::Exact(at(n) + 1));
        let corners = [(0.0, bottom), (spread.median, top)];
        let mut bar = Rectangle::new(corners, color(name).mix(0.75).filled());
        bar.set_margin(3, 3, 0, 0);
        bar
    }))?;
    chart.draw_series(known.iter().enumerate().map(|(n, (_, spread))| {
        let middle = || SegmentValue::CenterOf(at(n));
        PathElement::new(vec![(spread.least, middle()), (spread.most, middle())], BLACK.mix(0.7))
    }))?;
    if let Some(mark) = panel.mark {
        let ends = [SegmentValue::Exact(0), SegmentValue::Exact(known.len())];
        let line = ends.map(|end| (mark, end)).to_vec();
        chart.draw_series([PathElement::new(line, BLACK.stroke_width(1))])?;
    }
    Ok(())
}

fn lines_of(area: &Area<'_>, panel: &Lines) -> Result<()> {
    let points = || panel.lines.iter().flat_map(|(_, line)| line);
    let range = |of: fn(&(f64, f64)) -> f64, log: bool| {
        let least = points().map(of).fold(f64::INFINITY, f64::min);
        let most = points().map(of).fold(0.0, f64::max);
        if log { least * 0.8..most * 1.25 } else { 0.0..most * 1.1 }
    };
    let mut x = range(|point| point.0, panel.log_x);
    if panel.has_many() {
        // So that their names have room of their own.
        x.end *= if panel.log_x { 5.0 } else { 1.4 };
    }
    let y = range(|point| point.1, panel.log_y);
    let mut chart = ChartBuilder::on(area);
    chart
        .caption(&panel.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(38)
        .y_label_area_size(54);
    match (panel.log_x, panel.log_y) {
        (true, true) => draw_lines(chart.build_cartesian_2d(x.log_scale(), y.log_scale())?, panel),
        (true, false) => draw_lines(chart.build_cartesian_2d(x.log_scale(), y)?, panel),
        (false, true) => draw_lines(chart.build_cartesian_2d(x, y.log_scale())?, panel),
        (false, false) => draw_lines(chart.build_cartesian_2d(x, y)?, panel),
    }
}

fn draw_lines<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    panel: &Lines,
) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(panel.x)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .label_style(("sans-serif", 12))
        .draw()?;
    for (name, line) in &panel.lines {
        let color = color(name);
        chart
            .draw_series(
                LineSeries::new(line.iter().copied(), color.stroke_width(2)).point_size(3),
            )?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    let names = match panel.has_many() {
        true => SeriesLabelPosition::UpperRight,
        false => SeriesLabelPosition::UpperLeft,
    };
    chart
        .configure_series_labels()
        .position(names)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 12))
        .draw()?;
    Ok(())
}

fn short(value: &f64) -> String {
    if *value >= 10_000.0 { format!("{}k", value / 1000.0) } else { value.to_string() }
}

/// The same for the same, wherever it appears.
fn color(name: &str) -> RGBColor {
    const COLORS: [(&str, RGBColor); 8] = [
        ("nginx", RGBColor(0, 125, 60)),
        ("HAProxy", RGBColor(40, 90, 190)),
        ("Envoy", RGBColor(170, 70, 170)),
        ("Go", RGBColor(0, 160, 200)),
        ("Caddy", RGBColor(120, 180, 60)),
        ("pingora", RGBColor(235, 140, 30)),
        ("hyper", RGBColor(130, 110, 90)),
        ("locum", RGBColor(205, 30, 40)),
    ];
    // A call is its server's.
    let name = name.split_once(" to ").map_or(name, |(_, server)| server);
    let known = COLORS.iter().find(|(begin, _)| name.starts_with(begin));
    match known {
        Some((_, color)) if name.contains("no policy") => RGBColor(color.0, 110, 110),
        Some((_, color)) => *color,
        None => RGBColor(90, 100, 120),
    }
}
