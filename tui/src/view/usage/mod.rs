//! Usage and limits, prices and model policy.

mod bars;
mod detail;

use ratatui::{buffer::Buffer, layout::Rect};

pub(super) use self::bars::facts as limit_facts;
use super::table::{Pane, tabs};
use crate::{
    nouns::Noun,
    render::{
        cells::fit,
        text::{dollars, plural, safe, short},
    },
    state::{
        Model, Right,
        list::List,
        usage::{OpenLimits, Tab},
    },
    theme::Tone,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    if model.is_limits() {
        return detail::draw(buffer, area, model);
    }
    if model.is_patterns() {
        return patterns(buffer, area, model);
    }
    let usage = &model.usage;
    let title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == usage.tab)));
    let mut body = area;
    // What it comes to, or means, stands below.
    body.height = body.height.saturating_sub(1);
    let below = match usage.tab {
        Tab::Prices => {
            "USD for a million tokens; the most specific pattern that matches a model counts".to_owned()
        }
        Tab::Policies => "!: whatever the client says; else where it does not say".to_owned(),
        Tab::Aliases => "the first that a node can serve is served".to_owned(),
        _ => together(model),
    };
    let theme = model.settings.theme;
    let room = usize::from(area.width);
    buffer.set_stringn(area.x, body.bottom(), fit(&below, room, theme.cut()), room, theme.style(Tone::Dim));
    let used = "Nothing was used in this time. p: over another time; 5: who may use the gateway.";
    let served = "Nothing was served in this time. p: over another time.";
    let draw = Draw { buffer, area: body, model, title: &title };
    match usage.tab {
        Tab::Organizations => draw.sums("usage by organizations", "ORG", &usage.organizations, used),
        Tab::Users => draw.sums("usage by users", "USER", &usage.users, used),
        Tab::Keys => draw.sums("usage by keys", "KEY", &usage.keys, used),
        Tab::Models => draw.sums("usage by models", "MODEL", &usage.models, served),
        Tab::Nodes => draw.sums("usage by nodes", "NODE", &usage.nodes, served),
        Tab::Prices => draw.list(
            "the prices",
            &usage.prices,
            "Nothing costs anything yet, so limits of spend hold nobody back.\n\nPress a to set the price of models.",
        ),
        Tab::Policies => draw.list(
            "the model policies",
            &usage.policies,
            "Clients decide for themselves how long models stay in memory, how large their context and how long \
             their answers are.\n\nPress a to add a policy.",
        ),
        Tab::Aliases => draw.list(
            "the aliases",
            &usage.aliases,
            "There are no other names for models.\n\nPress a to add one: a client that asks for gpt-4o gets \
             llama3.3:70b.",
        ),
    }
}

/// The patterns of an organization's own.
fn patterns(buffer: &mut Buffer, area: Rect, model: &Model) {
    let whose = model.usage.open.as_ref().map(OpenLimits::called).unwrap_or_default();
    let title = format!("Patterns of {},", safe(&whose));
    let empty = "It looks for nothing of its own. Press a to add a regular expression or words.";
    Pane::new(&title, "the patterns", &model.usage.patterns, Right::PrivacyRead, empty)
        .rows(buffer, area, model);
}

/// Where a tab's list is drawn.
struct Draw<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    model: &'a Model,
    title: &'a str,
}

impl Draw<'_> {
    /// A list.
    fn list<T: Noun>(self, noun: &str, list: &List<T>, empty: &str) {
        Pane::new(self.title, noun, list, self.model.usage.tab.right(), empty).draw(
            self.buffer,
            self.area,
            self.model,
        );
    }

    /// Sums, with what they are by above their names.
    fn sums<T: Noun>(self, noun: &str, by: &'static str, list: &List<T>, empty: &str) {
        let mut pane = Pane::new(self.title, noun, list, self.model.usage.tab.right(), empty);
        if let Some(column) = pane.columns.first_mut() {
            column.title = by.into();
        }
        pane.draw(self.buffer, self.area, self.model);
    }
}

/// What the time came to.
fn together(model: &Model) -> String {
    let usage = &model.usage;
    let period = usage.period.now();
    let Some(report) = usage.report.as_ref().filter(|report| report.by == usage.tab.by()) else {
        return format!("{period} (p: another time)");
    };
    let all = &report.total;
    let mut text = format!(
        "{period} UTC: {}, {} tokens in, {} out, {} USD",
        plural(all.requests, "request"),
        short(all.prompt_tokens),
        short(all.output_tokens),
        dollars(all.spend)
    );
    for (number, what) in [(all.refused, "refused"), (all.failed, "failed")] {
        if number > 0 {
            text += &format!(", {} {what}", short(number));
        }
    }
    if report.cut {
        text += "; there are more rows than are shown";
    }
    text
}
