//! Every operation once.

use super::{audit as trail, identity as who, limits, policy as rules, usage as used, values::*};
use crate::{
    Reply, Request, WireSecret, account,
    audit::{self, AuditFilter, ExportFormat},
    backup, block, check, cluster, config, daemon, incident, job,
    key::{self, Priority},
    limit::{self, LimitName, LimitSetting, LimitTarget},
    lockout,
    log::{self, LogFilter},
    model,
    money::MicroUsd,
    node::{self, AdminState, TraitsChange},
    organization::{self, LimitProfile, PrivacyMode},
    policy, price,
    privacy::{self, AnswerMode, Category, NewPattern, PatternAction},
    route, running, secrets, snapshot,
    strategy::{self, Strategy},
    token,
    usage::{self, UsageBy, UsagePer, UsageRank},
    user::{self, Role},
};

impl Request {
    /// A sample of what it is answered with; None if with events. For tests.
    #[must_use]
    pub fn sample_reply(&self) -> Option<Reply> {
        let declared = Self::all().find(|declared| declared.name == self.name())?;
        let is_one = |reply: &Reply| format!("{reply:?}").split('(').next() == Some(declared.answer);
        Reply::samples().into_iter().find(is_one)
    }

    /// One value of every operation, in the order of the wire. For tests.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        vec![
            daemon::GetStatus.into(),
            daemon::Pulse { since: Some(1_700_000_000) }.into(),
            node::List.into(),
            node::Show { node: "gpu1".into() }.into(),
            node::Add(Box::new(new_node())).into(),
            node::Set { node: "gpu1".into(), revision: Some(3), change: Box::new(node_change()) }.into(),
            node::SetState { node: "gpu1".into(), revision: None, state: AdminState::Draining }.into(),
            node::Remove { node: "gpu1".into(), revision: Some(300) }.into(),
            node::Check { node: "gpu1".into() }.into(),
            node::Watch.into(),
            node::ProbeNew(Box::new(new_node())).into(),
            node::ProbeChange { node: "gpu1".into(), change: Box::new(node_change()) }.into(),
            node::Rename { node: "gpu1".into(), name: "gpu2".into() }.into(),
            node::Traits { node: Some("gpu1".into()) }.into(),
            node::SetTraits {
                node: "gpu1".into(),
                change: TraitsChange { third_party: Some(true), models_at_once: Some(None) },
            }
            .into(),
            node::AddWith {
                node: Box::new(new_node()),
                traits: TraitsChange { third_party: None, models_at_once: Some(Some(3)) },
            }
            .into(),
            node::Wakes { node: Some("gpu1".into()) }.into(),
            node::SetWake {
                node: "gpu1".into(),
                wake: Some(node::Wake {
                    mac: "aa:bb:cc:dd:ee:ff".into(),
                    address: None,
                    idle_seconds: Some(300),
                }),
            }
            .into(),
            node::WakeUp { node: "gpu1".into() }.into(),
            model::List.into(),
            model::Show { model: "llama3:8b".into() }.into(),
            model::Pull {
                model: "llama3:8b".into(),
                nodes: vec!["gpu1".into(), "gpu2".into()],
                insecure: true,
            }
            .into(),
            model::Remove { model: "llama3:8b".into(), node: Some("gpu1".into()) }.into(),
            model::Load {
                model: "llama3:8b".into(),
                node: Some("gpu1".into()),
                keep_alive: Some("30m".into()),
            }
            .into(),
            model::Unload { model: "llama3:8b".into(), node: None }.into(),
            model::Copy { model: "llama3:8b".into(), destination: "mine".into(), node: Some("gpu1".into()) }
                .into(),
            model::Create {
                model: "mine".into(),
                definition: r#"{"from":"llama3:8b"}"#.into(),
                nodes: vec!["gpu1".into()],
            }
            .into(),
            model::Push { model: "mine".into(), node: None, insecure: true }.into(),
            model::Place {
                model: "llama3:8b".into(),
                copies: 2,
                on: Some("zone=b".into()),
                pin: true,
                pull: false,
            }
            .into(),
            model::Placements.into(),
            model::Unplace { model: "llama3:8b".into() }.into(),
            model::Drifts.into(),
            strategy::Show.into(),
            strategy::Set(Strategy::LowestLatency).into(),
            strategy::Explain {
                model: "llama3:8b".into(),
                organization: Some("acme".into()),
                prompt: who::secret("Why is the sky blue?"),
            }
            .into(),
            strategy::ShowLearned { node: "gpu1".into() }.into(),
            strategy::ShowModels.into(),
            strategy::SetModel { model: "embed*".into(), strategy: Some(Strategy::RoundRobin) }.into(),
            job::List.into(),
            job::Show { job: "j1".into() }.into(),
            job::Follow { job: "j1".into() }.into(),
            job::Cancel { job: "j1".into() }.into(),
            log::Recent { filter: log_filter(), lines: 100 }.into(),
            log::Follow { filter: LogFilter::default(), lines: 10 }.into(),
            config::Show.into(),
            config::Reload.into(),
            who::setup().into(),
            account::Login {
                username: "alice".into(),
                password: who::secret("p"),
                otp: Some(who::secret("123456")),
            }
            .into(),
            account::Resume { secret: who::secret("s") }.into(),
            account::Logout.into(),
            account::Whoami.into(),
            account::Password { old: who::secret("o"), new: who::secret("n") }.into(),
            account::TotpBegin { password: who::secret("p") }.into(),
            account::TotpConfirm { code: who::secret("123456") }.into(),
            account::TotpDisable { password: who::secret("p"), code: who::secret("123456") }.into(),
            account::BackupCodes { password: who::secret("p"), code: who::secret("123456") }.into(),
            account::Verify { password: who::secret("p") }.into(),
            account::Redeem {
                username: "alice".into(),
                code: who::secret("abcd-efgh"),
                password: who::secret("p"),
            }
            .into(),
            organization::List.into(),
            organization::Show { organization: "acme".into() }.into(),
            organization::Add(Box::new(who::new_organization())).into(),
            organization::Set {
                organization: "acme".into(),
                revision: Some(2),
                change: Box::new(who::organization_change()),
            }
            .into(),
            organization::Remove { organization: "acme".into(), revision: None, with_contents: true }.into(),
            organization::Networks { organization: Some("acme".into()) }.into(),
            organization::SetNetworks { organization: "acme".into(), networks: vec!["10.0.0.0/8".into()] }
                .into(),
            organization::AddWithNetworks {
                organization: Box::new(who::new_organization()),
                networks: vec!["10.0.0.0/8".into()],
            }
            .into(),
            organization::HiddenUsage.into(),
            organization::HideUsage { organization: "acme".into(), hidden: true }.into(),
            user::List { organization: Some("acme".into()), role: Some(Role::Member) }.into(),
            user::Show { user: "alice".into() }.into(),
            user::Add(Box::new(who::new_user())).into(),
            user::Set { user: "alice".into(), revision: Some(4), change: Box::new(who::user_change()) }
                .into(),
            user::SetEnabled { user: "alice".into(), revision: None, enabled: false }.into(),
            user::Remove { user: "alice".into(), revision: Some(4) }.into(),
            user::ResetPassword { user: "alice".into() }.into(),
            user::ResetTotp { user: "alice".into() }.into(),
            user::Sessions { user: "alice".into() }.into(),
            user::Logout { user: "alice".into(), session: Some("0190-session".into()) }.into(),
            key::List { organization: Some("acme".into()), user: Some("alice".into()), all: true }.into(),
            key::Show { organization: Some("acme".into()), key: "ci".into() }.into(),
            key::Create(Box::new(who::new_key())).into(),
            key::Set {
                organization: None,
                key: "ci".into(),
                revision: Some(1),
                change: Box::new(who::key_change()),
            }
            .into(),
            key::Rotate { organization: Some("acme".into()), key: "ci".into(), grace_ms: 86_400_000 }.into(),
            key::Revoke { organization: Some("acme".into()), key: "ci".into() }.into(),
            key::Queueing { organization: Some("acme".into()), key: None }.into(),
            key::SetQueueing {
                organization: None,
                key: "ci".into(),
                priority: Some(Priority::Low),
                keep_waiting: Some(true),
            }
            .into(),
            key::Certificates { organization: Some("acme".into()), key: None }.into(),
            key::SetCertificate { organization: None, key: "ci".into(), name: Some("ci.example.org".into()) }
                .into(),
            key::Disabled.into(),
            key::SetEnabled { organization: Some("acme".into()), key: "ci".into(), enabled: false }.into(),
            key::CreateWithCertificate {
                key: Box::new(who::new_key()),
                certificate: "ci.example.org".into(),
            }
            .into(),
            token::Create { name: "backup".into(), role: Some(Role::Auditor), lasts_ms: 86_400_000 }.into(),
            token::List.into(),
            token::Revoke { token: "backup".into() }.into(),
            lockout::List { all: true }.into(),
            lockout::Clear { user: Some("alice".into()), address: Some("192.0.2.7".into()) }.into(),
            audit::List { filter: trail::filter(), cursor: Some(300), limit: 50, oldest_first: true }.into(),
            audit::Show { seq: 7 }.into(),
            audit::Follow { filter: AuditFilter::default(), lines: 10 }.into(),
            audit::Verify { anchors: vec![trail::checkpoint()] }.into(),
            audit::Export { filter: AuditFilter::default(), format: ExportFormat::Csv }.into(),
            audit::Keys.into(),
            audit::MakeCheckpoint.into(),
            audit::Walk { anchors: vec![trail::checkpoint()] }.into(),
            audit::ListFrom {
                network: used::network(),
                filter: trail::filter(),
                cursor: None,
                limit: 50,
                oldest_first: false,
            }
            .into(),
            audit::FollowFrom { network: used::network(), filter: AuditFilter::default(), lines: 10 }.into(),
            audit::ExportFrom {
                network: used::network(),
                filter: AuditFilter::default(),
                format: ExportFormat::Jsonl,
            }
            .into(),
            audit::Losses.into(),
            secrets::Status.into(),
            secrets::Validate.into(),
            secrets::Rotate { peppers: true, signing: false, deadline_ms: Some(86_400_000) }.into(),
            limit::Show { target: limits::key() }.into(),
            limit::Set { target: limits::organization(), revision: Some(4), values: limits::values() }.into(),
            limit::Unset {
                target: limits::user(),
                revision: None,
                names: vec![LimitSetting::of_key(LimitName::UserHour)],
            }
            .into(),
            limit::Profiles.into(),
            limit::SetProfile { organization: Some("acme".into()), profile: LimitProfile::Team, reset: true }
                .into(),
            limit::FindUnpriced { target: LimitTarget::Own }.into(),
            price::List.into(),
            price::Set { model: "llama3*".into(), prompt: MicroUsd(150_000), output: MicroUsd(600_000) }
                .into(),
            price::Remove { model: "llama3*".into() }.into(),
            usage::Report { filter: used::filter(), by: Some(UsageBy::Model), per: Some(UsagePer::Day) }
                .into(),
            usage::Top { filter: used::filter(), of: UsageBy::Key, rank: UsageRank::Remaining, limit: 20 }
                .into(),
            usage::Watch { filter: used::filter() }.into(),
            usage::Export { filter: used::filter() }.into(),
            usage::ReportFrom {
                network: used::network(),
                filter: used::filter(),
                by: Some(UsageBy::Key),
                per: None,
            }
            .into(),
            usage::TopFrom {
                network: used::network(),
                filter: used::filter(),
                of: UsageBy::Key,
                rank: UsageRank::Spend,
                limit: 20,
            }
            .into(),
            usage::WatchFrom { network: None, filter: used::filter() }.into(),
            usage::ExportFrom { network: Some(used::network()), filter: used::filter() }.into(),
            usage::Losses.into(),
            policy::List { organization: Some("acme".into()) }.into(),
            policy::Set {
                organization: Some("acme".into()),
                model: "llama3*".into(),
                revision: Some(1),
                change: Box::new(rules::change()),
            }
            .into(),
            policy::Remove { organization: Some("acme".into()), model: "llama3*".into() }.into(),
            policy::Aliases { organization: None }.into(),
            policy::SetAlias {
                organization: Some("acme".into()),
                alias: "gpt-4o".into(),
                models: vec!["llama3.3:70b".into(), "llama3.1:8b".into()],
                revision: None,
            }
            .into(),
            policy::RemoveAlias { organization: None, alias: "gpt-4o".into() }.into(),
            policy::Shares { organization: Some("acme".into()), alias: "gpt-4o".into() }.into(),
            policy::SetWeighted {
                organization: None,
                alias: "gpt-4o".into(),
                models: rules::weighted(),
                revision: Some(1),
            }
            .into(),
            policy::Access.into(),
            policy::SetAccess {
                model: "llama3*".into(),
                only: Some(vec!["acme".into()]),
                deny: Some(vec!["lab".into()]),
            }
            .into(),
            running::List.into(),
            running::Cancel { id: "0190-request".into() }.into(),
            running::Queue.into(),
            privacy::Show { organization: Some("acme".into()) }.into(),
            privacy::Set {
                organization: None,
                mode: Some(PrivacyMode::Block),
                categories: Some(vec![Category::Card]),
            }
            .into(),
            privacy::Test { organization: None, text: WireSecret::new("mail bob@example.com".into()) }.into(),
            privacy::Answers { organization: Some("acme".into()) }.into(),
            privacy::SetAnswers { organization: None, answers: AnswerMode::Redact }.into(),
            privacy::Patterns { organization: Some("acme".into()) }.into(),
            privacy::AddPattern {
                organization: Some("acme".into()),
                pattern: NewPattern {
                    name: "project".into(),
                    regex: None,
                    words: vec!["falcon".into()],
                    marker: None,
                    action: PatternAction::Refuse,
                },
            }
            .into(),
            privacy::RemovePattern { organization: None, name: "project".into() }.into(),
            snapshot::List.into(),
            snapshot::Create.into(),
            snapshot::Newest.into(),
            backup::List.into(),
            backup::Create.into(),
            backup::Export {
                sealing: backup::Sealing::Passphrase(WireSecret::new("correct horse battery".into())),
            }
            .into(),
            backup::Verify { file: "20231114T221320.000Z.backup".into() }.into(),
            backup::Newest.into(),
            block::List.into(),
            block::Add {
                target: "192.0.2.0/24".into(),
                lasts_ms: Some(3_600_000),
                reason: "guesses keys".into(),
            }
            .into(),
            block::Remove { target: "alice".into() }.into(),
            route::List.into(),
            check::Run.into(),
            check::Isolation.into(),
            incident::Contain {
                keys: vec!["acme/ci".into()],
                users: vec!["alice".into()],
                organizations: vec!["acme".into()],
                addresses: vec!["192.0.2.0/24".into()],
                revoke: true,
                lasts_ms: Some(3_600_000),
                reason: "guesses keys".into(),
            }
            .into(),
            incident::Detect { since: Some(1_700_000_000_000) }.into(),
            cluster::Members.into(),
            cluster::Fence { member: "gw2".into() }.into(),
        ]
    }
}
