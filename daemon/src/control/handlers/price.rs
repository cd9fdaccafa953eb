//! Requests about prices.

use aivonx_protocol::{Reply, price::PriceRequest};

use crate::{
    control::{Answer, Services, access::Permitted},
    limits::pricing,
};

pub(super) async fn handle(services: &Services, permitted: Permitted<PriceRequest>) -> Answer {
    let store = &services.identity.store;
    Answer::Reply(match permitted.into_request() {
        PriceRequest::List => pricing::list(store).await.map(Reply::Prices),
        PriceRequest::Set { model, prompt, output } => {
            pricing::set(store, model, prompt, output).await.map(|price| Reply::Price(Box::new(price)))
        }
        PriceRequest::Remove { model } => pricing::remove(store, &model).await.map(|()| Reply::Done),
    })
}
