//! The locked screen, and the second factor to be set up with its picture.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph, Widget as _},
};

use crate::{
    render::{
        cells::wrap,
        qr::{Ground, Modules},
        text::{safe, span},
    },
    state::{
        Model,
        account::{Enrol, Lock},
    },
    theme::{Theme, Tone},
    widgets::{input, popup},
};

/// Least columns that the words beside the picture need.
const WORDS: u16 = 30;
/// Most they are given.
const WORDS_MOST: u16 = 44;

/// Draws the locked screen: all of it, and nothing of what stands behind.
pub(super) fn lock(buffer: &mut Buffer, area: Rect, model: &Model, lock: &Lock) {
    let theme = model.settings.theme;
    Clear.render(area, buffer);
    let who = model.identity.as_ref().and_then(|who| who.user.as_deref()).unwrap_or("nobody");
    let columns = area.width.saturating_sub(4).min(60);
    let room = usize::from(columns);
    let since = span(model.now.saturating_sub(lock.since));
    let mut lines: Vec<Line<'static>> =
        wrap(&format!("Logged in as {}, locked for {since}. What goes on goes on.", safe(who)), room)
            .into_iter()
            .map(Line::from)
            .collect();
    lines.push(Line::default());
    let typed_at = lines.len();
    lines.push(Line::from(Span::styled("Password", theme.style(Tone::Accent))));
    lines.push(Line::default());
    if lock.sent.is_some() {
        lines.push(Line::from(Span::styled("Checking ... (esc gives up)", theme.style(Tone::Accent))));
    } else if let Some(fault) = &lock.fault {
        for part in wrap(&format!("! {}", safe(fault)), room) {
            lines.push(Line::from(Span::styled(part, theme.style(Tone::Bad))));
        }
    }
    lines.push(Line::from("enter  open    ctrl-c  log out and leave"));
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, area, (columns, rows), "Locked", Tone::Warn, theme);
    Paragraph::new(lines).render(inner, buffer);
    let y = inner.y + u16::try_from(typed_at).unwrap_or(0);
    if y < inner.bottom() && inner.width > 10 {
        let place = Rect { x: inner.x + 10, y, width: inner.width - 10, height: 1 };
        input::hidden(buffer, place, lock.password.len(), lock.sent.is_none(), theme);
    }
}

/// Draws a second factor to be set up: in a box where the picture fits into one, else over the whole screen.
pub(super) fn enrol(buffer: &mut Buffer, area: Rect, body: Rect, model: &Model, enrol: &Enrol) {
    let theme = model.settings.theme;
    let title = "Set up your second factor";
    let size = enrol.picture.as_ref().map(|code| cells(code, theme));
    if let Some((code, (columns, rows))) = enrol.picture.as_ref().zip(size) {
        let words = body.width.saturating_sub(columns + 6).min(WORDS_MOST);
        if words >= WORDS && rows + 2 <= body.height {
            let inner = popup::draw(buffer, body, (columns + 2 + words, rows), title, Tone::Accent, theme);
            let (left, right) = split(inner, columns);
            picture(buffer, left, code, theme, ground(theme, enrol));
            return instructions(buffer, right, model, enrol, Shown::Picture);
        }
        let words = area.width.saturating_sub(columns + 2).min(WORDS_MOST);
        if words >= WORDS && rows <= area.height {
            Clear.render(area, buffer);
            let y = area.y + (area.height - rows) / 2;
            let (left, right) = split(Rect { y, height: rows, width: columns + 2 + words, ..area }, columns);
            picture(buffer, left, code, theme, ground(theme, enrol));
            return instructions(buffer, right, model, enrol, Shown::Picture);
        }
    }
    // No room: the secret is as good, if slower to type.
    let needs = size.map(|(columns, rows)| (columns + 2 + WORDS, rows));
    let columns = body.width.saturating_sub(4).min(60);
    let (lines, _) = steps(usize::from(columns), enrol, Shown::Text(needs), theme);
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, body, (columns, rows), title, Tone::Accent, theme);
    instructions(buffer, inner, model, enrol, Shown::Text(needs));
}

/// What stands beside the instructions.
#[derive(Clone, Copy)]
enum Shown {
    /// The picture.
    Picture,
    /// Nothing; the columns and rows that the picture would need.
    Text(Option<(u16, u16)>),
}

fn split(area: Rect, columns: u16) -> (Rect, Rect) {
    let right = Rect { x: area.x + columns + 2, width: area.width.saturating_sub(columns + 2), ..area };
    (Rect { width: columns, ..area }, right)
}

/// The columns and rows that a code takes.
fn cells(code: &Modules, theme: Theme) -> (u16, u16) {
    let side = u16::try_from(code.side()).unwrap_or(u16::MAX);
    if theme.is_ascii() { (side.saturating_mul(2), side) } else { (side, side.div_ceil(2)) }
}

/// What the picture is drawn on: a dark background, unless the terminal or the user says otherwise.
fn ground(theme: Theme, enrol: &Enrol) -> Ground {
    let ground = Ground::of(theme.has_colours(), theme.is_light());
    if enrol.inverted { ground.inverted() } else { ground }
}

/// Dark on light, set with colours; in a theme without colours, with the terminal's own.
fn picture(buffer: &mut Buffer, area: Rect, code: &Modules, theme: Theme, ground: Ground) {
    // What has the colour of text.
    let drawn = |dark: bool| dark == (ground == Ground::Light);
    let side = code.side();
    // White is grey on many terminals; the bright one is white on all.
    let ink = |dark: bool| if dark { Color::Black } else { Color::White };
    for y in 0..area.height {
        for x in 0..area.width {
            let Some(cell) = buffer.cell_mut((area.x + x, area.y + y)) else { continue };
            let (x, y) = (usize::from(x), usize::from(y));
            if theme.is_ascii() {
                // Two columns are about as wide as a row is high.
                let dark = code.is_dark(x / 2, y);
                let style = if ground == Ground::Set {
                    Style::new().bg(ink(dark))
                } else if drawn(dark) {
                    Style::new().add_modifier(Modifier::REVERSED)
                } else {
                    Style::new()
                };
                cell.set_symbol(" ").set_style(style);
                continue;
            }
            // Below an odd number of rows there is half of one, which is margin.
            let (upper, lower) = (code.is_dark(x, 2 * y), 2 * y + 1 < side && code.is_dark(x, 2 * y + 1));
            if ground == Ground::Set {
                cell.set_symbol("▀").set_style(Style::new().fg(ink(upper)).bg(ink(lower)));
            } else {
                let sign = match (drawn(upper), drawn(lower)) {
                    (true, true) => "█",
                    (true, false) => "▀",
                    (false, true) => "▄",
                    (false, false) => " ",
                };
                cell.set_symbol(sign);
            }
        }
    }
}

/// What to do, line by line, and the line that the code is typed in.
fn steps(room: usize, enrol: &Enrol, shown: Shown, theme: Theme) -> (Vec<Line<'static>>, usize) {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let styled = |text: String, tone: Tone| Line::from(Span::styled(text, theme.style(tone)));
    let say = |lines: &mut Vec<Line<'static>>, text: &str, tone: Tone| {
        lines.extend(wrap(text, room).into_iter().map(|part| styled(part, tone)));
    };
    let first = match shown {
        Shown::Picture => "1. Scan this with an authenticator app, or type this secret into it:",
        Shown::Text(_) => "1. Type this secret into an authenticator app (by time, 6 digits):",
    };
    say(&mut lines, first, Tone::Plain);
    for four in grouped(enrol.offer.secret.expose(), room.saturating_sub(3)) {
        lines.push(styled(format!("   {four}"), Tone::Strong));
    }
    if let Shown::Text(Some((columns, rows))) = shown {
        let fewer = if theme.is_ascii() { " Fewer do in a UTF-8 locale, without --ascii." } else { "" };
        let needs =
            format!("A picture to scan takes a terminal of {columns} columns and {rows} rows.{fewer}");
        say(&mut lines, &needs, Tone::Dim);
    }
    lines.push(Line::default());
    say(&mut lines, "2. Type the code that it shows now:", Tone::Plain);
    let typed_at = lines.len();
    lines.push(styled("   >".to_owned(), Tone::Accent));
    match (&enrol.fault, enrol.sent) {
        (_, Some(_)) => say(&mut lines, "Checking ... (esc gives up)", Tone::Accent),
        (Some(fault), None) => say(&mut lines, &format!("! {}", safe(fault)), Tone::Bad),
        (None, None) => lines.push(Line::default()),
    }
    lines.push(Line::default());
    say(&mut lines, "enter  go on    esc  not now", Tone::Plain);
    say(
        &mut lines,
        if enrol.copied { "copied, if your terminal lets it" } else { "c  copy the secret" },
        Tone::Plain,
    );
    let drawn_for = match ground(theme, enrol) {
        Ground::Set => None,
        Ground::Dark => Some("dark"),
        Ground::Light => Some("light"),
    };
    if let (Shown::Picture, Some(drawn_for)) = (shown, drawn_for) {
        let turn = format!("i  invert the picture, drawn for a {drawn_for} background");
        say(&mut lines, &turn, Tone::Plain);
    }
    (lines, typed_at)
}

fn instructions(buffer: &mut Buffer, area: Rect, model: &Model, enrol: &Enrol, shown: Shown) {
    let theme = model.settings.theme;
    let (lines, typed_at) = steps(usize::from(area.width), enrol, shown, theme);
    Paragraph::new(lines).render(area, buffer);
    let y = area.y.saturating_add(u16::try_from(typed_at).unwrap_or(u16::MAX));
    if y < area.bottom() && area.width > 5 {
        let place = Rect { x: area.x + 5, y, width: area.width - 5, height: 1 };
        input::seen(buffer, place, enrol.code.text(), enrol.sent.is_none(), theme);
    }
}

/// The secret in fours, as people copy it, in lines of at most so many cells.
fn grouped(secret: &str, room: usize) -> Vec<String> {
    let chars: Vec<char> = safe(secret).chars().collect();
    let fours: Vec<String> = chars.chunks(4).map(|four| four.iter().collect()).collect();
    // Lines of the same length are read off with fewer mistakes.
    let most = ((room + 1) / 5).max(1);
    let lines = fours.len().div_ceil(most).max(1);
    fours.chunks(fours.len().div_ceil(lines).max(1)).map(|line| line.join(" ")).collect()
}
