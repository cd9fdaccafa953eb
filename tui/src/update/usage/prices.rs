//! What tokens cost.

use aivonx_protocol::{
    Request,
    money::MicroUsd,
    price::{self, Price, PriceRequest},
};

use super::Asked;
use crate::{
    keymap::Do,
    render::text::plural,
    state::{
        Model, Topic,
        calls::Act,
        form::{Field, Form, FormFor},
        usage::UsageForm,
    },
    update::{dialogs, forms},
};

const RELOAD: &[Topic] = &[Topic::Prices];

/// A key of the tab's own.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    match does {
        Do::Add => forms::open(model, form(None)),
        Do::Edit => {
            if let Some(form) = model.usage.prices.chosen().map(|price| form(Some(price))) {
                forms::open(model, form);
            }
        }
        Do::Remove => remove(model),
        _ => {}
    }
}

fn amount(text: &str) -> Result<(), String> {
    text.parse::<MicroUsd>().map(|_| ()).map_err(|bad| bad.to_string())
}

fn form(price: Option<&Price>) -> Form {
    let text = |of: fn(&Price) -> MicroUsd| price.map(|price| of(price).to_string()).unwrap_or_default();
    let model = price.map(|price| price.model.clone()).unwrap_or_default();
    let fields = vec![
        Field::text("model", "Models", "* and ? are wildcards: llama3.3:70b, llama3*, *", &model).required(),
        Field::text(
            "prompt",
            "Prompt",
            "USD for a million tokens of prompts: 0.59",
            &text(|price| price.prompt),
        )
        .required()
        .checked(amount),
        Field::text(
            "output",
            "Output",
            "USD for a million tokens of output: 0.79",
            &text(|price| price.output),
        )
        .required()
        .checked(amount),
    ];
    let intro = "What is spent is reckoned by it from the next request on. The most specific pattern counts.";
    let title = price.map_or_else(|| "Set a price".to_owned(), |price| format!("Price of {}", price.model));
    let mut form = Form::new(FormFor::Usage(UsageForm::Price), title, intro, fields);
    // The pattern is what it is known by.
    form.at = usize::from(price.is_some());
    form
}

/// Sets the price of this form.
pub(super) fn set(form: &Form) -> Result<Asked, String> {
    let model = form.value("model");
    let amount = |key| form.value(key).parse::<MicroUsd>().map_err(|bad| bad.to_string());
    let request = PriceRequest::Set(price::Set {
        model: model.clone(),
        prompt: amount("prompt")?,
        output: amount("output")?,
    });
    let (doing, done) = (format!("Setting the price of {model}"), format!("the price of {model} is set"));
    Ok(Asked::new(Request::Price(request), doing, done, RELOAD))
}

fn remove(model: &mut Model) {
    let requests: Vec<_> = model
        .usage
        .prices
        .targets()
        .into_iter()
        .map(|price| {
            let what = Act {
                doing: format!("Forgetting the price of {}", price.model),
                done: format!("the price of {} is forgotten", price.model),
                reload: RELOAD.to_vec(),
            };
            (Request::from(price::Remove { model: price.model.clone() }), what)
        })
        .collect();
    let title = match &*requests {
        [] => return,
        [(_, what)] => format!("{}?", what.doing.replacen("Forgetting", "Forget", 1)),
        more => format!("Forget {}?", plural(more.len() as u64, "price")),
    };
    let lines = vec![
        "Models that no other pattern matches cost nothing: limits of spend do not hold them back."
            .to_owned(),
        "What was spent stays spent.".to_owned(),
    ];
    dialogs::confirm(model, title, lines, "Forget", None, requests);
}
