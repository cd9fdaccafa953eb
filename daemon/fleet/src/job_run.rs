//! Carrying out a job on nodes.

use std::{sync::Arc, time::Duration};

use aivonx_domain::model_name;
use aivonx_protocol::{Untrusted, job::JobState, node::NodeKind};
use tokio::task::JoinSet;

use super::{
    contact::Contact,
    create, engine_memory,
    health::Checker,
    job_state::{Deed, OnNodes},
    memory,
    merge::Line,
    pull,
};

/// How often a node that unloads a model is looked at again, and how far apart. One that is still at work with the
/// model keeps it until then: nobody waits for that.
const UNLOADS: u32 = 10;
const UNLOADING: Duration = Duration::from_millis(300);

/// What is said of a model that a node did not create. Its own words may repeat the system prompt and the messages that
/// it was given, and those reach no log.
const NOT_CREATED: &str = "the node did not create it; its own log says why";

/// Carries out a job on all its nodes at once, to its end.
pub(super) async fn run(job: Arc<OnNodes>, checker: Arc<Checker>) {
    let mut all = JoinSet::new();
    for (at, node) in job.targets().iter().enumerate() {
        all.spawn(run_on(job.clone(), checker.clone(), at, node.clone()));
    }
    while all.join_next().await.is_some() {}
    let view = job.view();
    let model = Untrusted::new(&view.subject);
    match view.state {
        JobState::Done => tracing::info!(event = "job_done", job = %view.id, organization = job.owner(),
            model = %model, "{} done", job.deed().word()),
        state => {
            let error = job.error();
            tracing::warn!(event = "job_ended", job = %view.id, organization = job.owner(), model = %model, state = ?state,
                error = %Untrusted::new(&error), "{} ended before it was complete", job.deed().word());
        }
    }
}

async fn run_on(job: Arc<OnNodes>, checker: Arc<Checker>, at: usize, node: Contact) {
    let work = async {
        if let Some(why) = &node.at.unusable {
            return Err(why.clone());
        }
        let (endpoint, model) = (&node.at.endpoint, job.model());
        let says = |status: &str| job.take(at, Line { status: status.to_owned(), ..Line::default() });
        match job.deed() {
            Deed::Pull { insecure } => {
                let each = |line: Line| job.take(at, line);
                let wanted = pull::wanted(model, *insecure);
                pull::follow(endpoint, checker.connect, "/api/pull", wanted, job.before(), each).await?;
                // A client that sees success may ask for the model next: it has to be in the catalogue by then.
                checker.check(&node.id).await;
            }
            Deed::Push { insecure } => {
                let each = |line: Line| job.take(at, line);
                let wanted = pull::wanted(model, *insecure);
                pull::follow(endpoint, checker.connect, "/api/push", wanted, job.before(), each).await?;
            }
            Deed::Create { definition } => {
                let each = |line: Line| job.take(at, line);
                let body = definition.clone();
                let creating =
                    pull::follow(endpoint, checker.connect, "/api/create", body, job.before(), each);
                creating.await.map_err(|_| NOT_CREATED.to_owned())?;
                checker.check(&node.id).await;
            }
            Deed::Copy { destination } => {
                says("copying");
                create::copy(endpoint, checker.connect, model, destination, job.before()).await?;
                checker.check(&node.id).await;
            }
            Deed::Load { .. } if node.kind == NodeKind::Openai => {
                says("loading into memory");
                let loading = engine_memory::load(endpoint, checker.connect, model);
                loading.await.map_err(|failed| failed.to_string())?;
                checker.check(&node.id).await;
            }
            Deed::Unload if node.kind == NodeKind::Openai => {
                says("taking out of memory");
                let unloading = engine_memory::unload(endpoint, checker.connect, model);
                unloading.await.map_err(|failed| failed.to_string())?;
                until_unloaded(&checker, &node.id, model).await;
            }
            Deed::Load { keep_alive } => {
                says("loading into memory");
                let keep_alive = keep_alive.clone().map(|time| ("keep_alive".to_owned(), time));
                let context = checker.contexts.option(job.owner(), model);
                let with = keep_alive.into_iter().chain(context).collect();
                let loading = memory::load(endpoint, checker.connect, model, &with);
                loading.await.map_err(|failed| failed.to_string())?;
                checker.check(&node.id).await;
            }
            Deed::Unload => {
                says("taking out of memory");
                let unloading = memory::unload(endpoint, checker.connect, model, &[]);
                unloading.await.map_err(|failed| failed.to_string())?;
                until_unloaded(&checker, &node.id, model).await;
            }
        }
        Ok(())
    };
    let (state, error) = tokio::select! {
        () = job.until_cancelled() => (JobState::Cancelled, None),
        () = node.live.until_retired() => (JobState::Failed, Some("the node was removed".to_owned())),
        result = work => match result {
            Ok(()) => (JobState::Done, None),
            Err(error) => (JobState::Failed, Some(error)),
        },
    };
    job.end(at, state, error);
}

/// A node says that it will unload, and does so a moment later: the catalogue is to have it right by the end.
pub(super) async fn until_unloaded(checker: &Checker, node: &str, model: &str) {
    let normal = model_name::normalize(model);
    checker.registry.dispatch.unloaded(node, &normal);
    for _ in 0..UNLOADS {
        checker.check(node).await;
        if !checker.registry.holds(node, &normal) {
            return;
        }
        tokio::time::sleep(UNLOADING).await;
    }
}
