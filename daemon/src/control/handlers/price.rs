//! Requests about prices.

use aivonx_protocol::{Reply, price::PriceRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<PriceRequest>) -> Answer {
    let prices = &services.prices;
    Answer::Reply(match permitted.into_request() {
        PriceRequest::List => prices.list().await.map(Reply::Prices),
        PriceRequest::Set { model, prompt, output } => {
            prices.set(model, prompt, output).await.map(|price| Reply::Price(Box::new(price)))
        }
        PriceRequest::Remove { model } => prices.remove(&model).await.map(|()| Reply::Done),
    })
}
