//! Usage and limits, prices and model policy.

mod bars;
mod detail;
mod tables;

use aivonx_protocol::{
    policy::{Alias, Policy},
    price::Price,
};
use ratatui::{buffer::Buffer, layout::Rect};

pub(super) use self::bars::facts as limit_facts;
use super::table::{Table, tabs};
use crate::{
    model::{
        Model,
        list::{Column, List, Record as _},
        usage::{Budget, Served, Tab},
    },
    render::text::{dollars, plural, short},
    theme::Tone,
    widgets::text::fit,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    if model.is_limits() {
        return detail::draw(buffer, area, model);
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
    match usage.tab {
        Tab::Organizations => budgets(buffer, body, model, &title, "ORG", &usage.organizations),
        Tab::Users => budgets(buffer, body, model, &title, "USER", &usage.users),
        Tab::Keys => budgets(buffer, body, model, &title, "KEY", &usage.keys),
        Tab::Models => served(buffer, body, model, &title, "MODEL", &usage.models),
        Tab::Nodes => served(buffer, body, model, &title, "NODE", &usage.nodes),
        Tab::Prices => Table {
            title: &title,
            noun: "the prices",
            list: &usage.prices,
            columns: Price::COLUMNS.into(),
            right: usage.tab.right(),
            empty: "Nothing costs anything yet, so limits of spend hold nobody back.\n\nPress a to set the price of \
                    models.",
            cells: &|price| tables::price_cells(model, price),
            facts: &|price| tables::price_facts(model, price),
        }
        .draw(buffer, body, model),
        Tab::Policies => Table {
            title: &title,
            noun: "the model policies",
            list: &usage.policies,
            columns: Policy::COLUMNS.into(),
            right: usage.tab.right(),
            empty: "Clients decide for themselves how long models stay in memory, how large their context and how \
                    long their answers are.\n\nPress a to add a policy.",
            cells: &tables::policy_cells,
            facts: &|policy| tables::policy_facts(model, policy),
        }
        .draw(buffer, body, model),
        Tab::Aliases => Table {
            title: &title,
            noun: "the aliases",
            list: &usage.aliases,
            columns: Alias::COLUMNS.into(),
            right: usage.tab.right(),
            empty: "There are no other names for models.\n\nPress a to add one: a client that asks for gpt-4o gets \
                    llama3.3:70b.",
            cells: &tables::alias_cells,
            facts: &|alias| tables::alias_facts(model, alias),
        }
        .draw(buffer, body, model),
    }
}

/// The columns with another word above the first.
fn named(columns: &'static [Column], first: &'static str) -> Vec<Column> {
    let mut columns = columns.to_vec();
    if let Some(column) = columns.first_mut() {
        column.title = first.into();
    }
    columns
}

fn budgets(
    buffer: &mut Buffer,
    area: Rect,
    model: &Model,
    title: &str,
    first: &'static str,
    list: &List<Budget>,
) {
    let noun = match model.usage.tab {
        Tab::Organizations => "usage by organizations",
        Tab::Users => "usage by users",
        _ => "usage by keys",
    };
    Table {
        title,
        noun,
        list,
        columns: named(Budget::COLUMNS, first).into(),
        right: model.usage.tab.right(),
        empty: "Nothing was used in this time. p: over another time; 5: who may use the gateway.",
        cells: &|one| tables::budget_cells(model, one),
        facts: &|_| Vec::new(),
    }
    .draw(buffer, area, model);
}

fn served(
    buffer: &mut Buffer,
    area: Rect,
    model: &Model,
    title: &str,
    first: &'static str,
    list: &List<Served>,
) {
    Table {
        title,
        noun: if model.usage.tab == Tab::Models { "usage by models" } else { "usage by nodes" },
        list,
        columns: named(Served::COLUMNS, first).into(),
        right: model.usage.tab.right(),
        empty: "Nothing was served in this time. p: over another time.",
        cells: &|one| tables::served_cells(model, one),
        facts: &|_| Vec::new(),
    }
    .draw(buffer, area, model);
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
