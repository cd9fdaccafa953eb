//! The cells of the screen's tables, and everything about prices and model policy.

use aivonx_protocol::{
    policy::{Alias, Policy},
    price::Price,
};

use super::super::table::Facts;
use crate::{
    model::{
        Model,
        list::Record as _,
        usage::{Budget, Served},
    },
    render::text::{NONE, count, dollars, latency, safe, short, time},
    theme::{Theme, Tone},
    widgets::{bar, grid::Cell, rows::Row},
};

/// Cells of a bar with its share.
const BAR: usize = 13;

/// A bar of what is used of a limit; a word where there is none.
fn gauge(used: Option<u64>, share: Option<f64>, theme: Theme) -> Cell {
    match (used, share) {
        (_, Some(share)) => Cell::toned(bar::told(share, BAR, theme), bar::tone(share)),
        (Some(_), None) => Cell::toned("no limit", Tone::Dim),
        // Of what has used nothing the limits are not told here.
        (None, None) => Cell::toned(NONE, Tone::Dim),
    }
}

fn odd(number: u64, tone: Tone) -> Cell {
    Cell::toned(short(number), if number > 0 { tone } else { Tone::Plain })
}

pub(super) fn budget_cells(model: &Model, one: &Budget) -> Vec<Cell> {
    let theme = model.settings.theme;
    let row = &one.row;
    let name = match &one.organization {
        Some(organization) => format!("{}/{}", safe(organization), safe(one.name())),
        None => safe(one.name()),
    };
    vec![
        Cell::new(name),
        gauge(row.requests_used, one.requests(), theme),
        gauge(row.spend_used, one.spend(), theme),
        Cell::new(short(row.requests)),
        Cell::new(short(row.prompt_tokens)),
        Cell::new(short(row.output_tokens)),
        Cell::new(dollars(row.spend)),
        odd(row.refused, Tone::Warn),
        odd(row.failed, Tone::Bad),
        Cell::new(row.remaining().map_or_else(|| NONE.to_owned(), |left| format!("{}%", left / 10))),
    ]
}

pub(super) fn served_cells(model: &Model, one: &Served) -> Vec<Cell> {
    let row = &one.row;
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mean = one.mean().map_or_else(|| NONE.to_owned(), |mean| latency(mean as f64));
    vec![
        Cell::new(safe(one.name())),
        Cell::new(bar::told(one.share(), BAR + 1, model.settings.theme)),
        Cell::new(short(row.requests)),
        Cell::new(short(row.prompt_tokens)),
        Cell::new(short(row.output_tokens)),
        Cell::new(dollars(row.spend)),
        Cell::new(mean),
        odd(row.refused, Tone::Warn),
        odd(row.failed, Tone::Bad),
    ]
}

pub(super) fn price_cells(model: &Model, price: &Price) -> Vec<Cell> {
    vec![
        Cell::new(safe(&price.model)),
        Cell::new(price.prompt.to_string()),
        Cell::new(price.output.to_string()),
        Cell::new(time(price.created, &model.zone)),
    ]
}

pub(super) fn price_facts(model: &Model, price: &Price) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("models", &price.model);
    facts.put("prompt", format!("{} USD for a million tokens", price.prompt));
    facts.put("output", format!("{} USD for a million tokens", price.output));
    facts.put("since", time(price.created, &model.zone));
    facts.toned("revision", price.revision.to_string(), Tone::Dim);
    facts.all()
}

fn everybody(organization: Option<&str>) -> Cell {
    organization.map_or_else(|| Cell::toned("(all)", Tone::Dim), |slug| Cell::new(safe(slug)))
}

fn forced(text: String, force: bool) -> String {
    if force { format!("{text}!") } else { text }
}

pub(super) fn policy_cells(policy: &Policy) -> Vec<Cell> {
    let none = || NONE.to_owned();
    vec![
        Cell::new(safe(&policy.model)),
        everybody(policy.organization.as_deref()),
        Cell::new(policy.keep_alive.as_ref().map_or_else(none, |keep| forced(safe(&keep.value), keep.force))),
        Cell::new(policy.num_ctx.map_or_else(none, |size| forced(count(size.tokens.into()), size.force))),
        Cell::new(policy.output_max.map_or_else(none, |most| count(most.into()))),
    ]
}

pub(super) fn policy_facts(model: &Model, policy: &Policy) -> Vec<Row> {
    let mut facts = Facts::default();
    let how = |force| if force { "whatever the client says" } else { "where the client does not say" };
    facts.put("models", &policy.model);
    facts.put("for", policy.organization.clone().unwrap_or_else(|| "everybody".into()));
    let keep = policy.keep_alive.as_ref().map(|keep| format!("{}, {}", keep.value, how(keep.force)));
    facts.put("keep alive", keep.unwrap_or_else(|| "as clients ask".into()));
    let size =
        policy.num_ctx.map(|size| format!("{} tokens, {}", count(size.tokens.into()), how(size.force)));
    facts.put("context", size.unwrap_or_else(|| "as clients ask".into()));
    let most = policy.output_max.map(|most| format!("at most {} tokens", count(most.into())));
    facts.put("output", most.unwrap_or_else(|| "as clients ask".into()));
    facts.put("since", time(policy.created, &model.zone));
    facts.toned("id", format!("{} (revision {})", policy.id, policy.revision), Tone::Dim);
    facts.all()
}

pub(super) fn alias_cells(alias: &Alias) -> Vec<Cell> {
    vec![
        Cell::new(safe(&alias.alias)),
        everybody(alias.organization.as_deref()),
        Cell::new(safe(&alias.models.join(", else "))),
    ]
}

pub(super) fn alias_facts(model: &Model, alias: &Alias) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("asked for", &alias.alias);
    facts.put("for", alias.organization.clone().unwrap_or_else(|| "everybody".into()));
    facts.put("served", alias.models.join("\nelse "));
    facts.put("since", time(alias.created, &model.zone));
    facts.toned("id", format!("{} (revision {})", alias.id, alias.revision), Tone::Dim);
    facts.all()
}
