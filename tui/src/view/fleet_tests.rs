//! Nodes, models and jobs, as they are seen.

use aivonx_protocol::{
    Event, Fault, FaultKind, Reply,
    job::{Job, JobKind, JobState},
    node::Probed,
    user::Role,
};

use super::tests::{pane, shot, shots};
use crate::{
    msg::Msg,
    samples::{self, HOSTILE},
    state::{
        Model, Topic,
        testing::{
            answer_all, call, connected, fail, full, full_as, press, press_all, refuse, reply, type_text,
        },
    },
    update::update,
};

/// A form in which the server was asked what it is.
fn asked(model: &mut Model) -> u64 {
    press_all(model, "2 a");
    type_text(model, "gpu9");
    press(model, "tab");
    type_text(model, "http://10.0.0.9:11434");
    let effects = press(model, "tab");
    call(&effects).0
}

fn found(healthy: bool, finding: &str, models: &[&str]) -> Reply {
    Reply::Probed(Box::new(Probed {
        healthy,
        finding: finding.into(),
        kind: None,
        version: None,
        models: models.iter().map(|name| (*name).to_owned()).collect(),
        loaded: Vec::new(),
        latency_ms: None,
    }))
}

shots!(node_probing, |model| {
    asked(&mut model);
    model
});
shots!(node_probed, |model| {
    let ticket = asked(&mut model);
    let finding = "Ollama 0.14.0 with 3 models, 1 in memory; answered in 1.2 ms";
    reply(&mut model, ticket, found(true, finding, &["llama3.3:70b", "qwen3:8b", HOSTILE]));
    model
});
shots!(node_probe_failed, |model| {
    let ticket = asked(&mut model);
    let finding = format!("GET /api/version answered 401; check the node's credential, or that it {HOSTILE}");
    reply(&mut model, ticket, found(false, &finding, &[]));
    model
});
shots!(node_probe_refused, |model| {
    let ticket = asked(&mut model);
    let fault = Fault::new(FaultKind::Invalid, "url 'http://169.254.1.1' is a link-local address");
    refuse(&mut model, ticket, fault.hint("if a node really is there, add it with --force"));
    model
});
shots!(node_draining, |model| {
    press_all(&mut model, "2 G");
    model
});
shots!(node_draining_detail, |model| {
    press_all(&mut model, "2 G enter");
    model
});
shots!(nodes_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press(&mut model, "2");
    assert!(shot(&model).is_ascii());
    model
});
shots!(strategy, |model| {
    let effects = press_all(&mut model, "2 t");
    answer_all(&mut model, effects);
    model
});
shots!(models_waiting, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "3");
    model
});
shots!(models_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "3");
    model.calls.clear();
    fail(&mut model, Topic::Models);
    model
});
shots!(models_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Auditor);
    press_all(&mut model, "3 L");
    model
});
shots!(models_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press(&mut model, "3");
    assert!(shot(&model).is_ascii());
    model
});
shots!(model_load, |model| {
    press_all(&mut model, "3 G right right L");
    model
});
shots!(model_unload, |model| {
    press_all(&mut model, "3 G U");
    model
});
shots!(models_loading, |model| {
    let load = Job {
        id: "j13".into(),
        kind: JobKind::Load,
        targets: vec![aivonx_protocol::job::JobTarget {
            completed: 0,
            total: 1,
            status: "loading into memory".into(),
            node: "llm-frankfurt-2".into(),
            ..samples::jobs()[0].targets[0].clone()
        }],
        completed: 0,
        total: 1,
        ..samples::jobs().remove(0)
    };
    let now = model.now;
    model.jobs.put(load, now);
    press(&mut model, "3");
    model
});
shots!(models_many_nodes, |model| {
    let now = model.now;
    for n in 0..12 {
        let node = aivonx_protocol::node::Node {
            id: format!("id-{n}"),
            name: format!("node-{n:02}"),
            ..samples::nodes().remove(0)
        };
        model.nodes.list.put(node, now);
    }
    press_all(&mut model, "3 left left");
    model
});
shots!(jobs_empty, |model| {
    press(&mut model, "4");
    let now = model.now;
    model.jobs.set(Vec::new(), now);
    model
});
shots!(jobs_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "4");
    model.calls.clear();
    fail(&mut model, Topic::Jobs);
    model
});
shots!(jobs_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press(&mut model, "4");
    model
});
shots!(jobs_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press(&mut model, "4");
    assert!(shot(&model).is_ascii());
    model
});
shots!(job_running, |model| {
    press_all(&mut model, "4 G enter");
    let (ticket, _) = model.jobs.feed.clone().unwrap();
    let mut job = samples::jobs().remove(0);
    for (seconds, status, more) in [(2, "pulling 77aa12", 400_000_000), (4, "verifying sha256 digest", 0)] {
        model.now += seconds * 1000;
        job.targets[0].status = status.into();
        job.targets[0].completed += more;
        job.completed += more;
        update(&mut model, Msg::Events { ticket, events: vec![Event::Job(Box::new(job.clone()))] });
    }
    model
});
shots!(jobs_running, |model| {
    press_all(&mut model, "4 G");
    let mut job = samples::jobs().remove(0);
    model.now += 2000;
    job.completed += 400_000_000;
    let now = model.now;
    model.jobs.put(job, now);
    assert!(model.jobs.list.all().iter().any(|job| job.state == JobState::Running));
    model
});

/// On a small screen there is still what counts, and on a large one more.
#[test]
fn other_sizes() {
    for keys in ["2", "3", "4 G"] {
        let shown = [(60, 15), (200, 60)].map(|(columns, rows)| {
            let mut model = full(columns, rows);
            press_all(&mut model, keys);
            pane(&mut model)
        });
        insta::assert_snapshot!(format!("fleet_{}", keys.replace(' ', "_")), shown.join("\n\n"));
    }
}
shots!(models_kept, |model| {
    press_all(&mut model, "3 tab");
    model
});
shots!(model_keep, |model| {
    press_all(&mut model, "3 G K");
    model
});
shots!(models_strategies, |model| {
    press_all(&mut model, "3 tab tab");
    model
});
shots!(models_restrictions, |model| {
    press_all(&mut model, "3 backtab");
    model
});
shots!(models_restriction_remove, |model| {
    press_all(&mut model, "3 backtab ctrl-d");
    model
});
shots!(node_wake, |model| {
    let effects = press_all(&mut model, "2 g j w");
    answer_all(&mut model, effects);
    model
});
