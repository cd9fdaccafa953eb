use aivonx_protocol::{
    FaultKind, WireSecret,
    organization::{LimitProfile, PrivacyMode},
    privacy::{AnswerMode, Category},
    user::Role,
};

use crate::{
    Actor,
    rig::{Rig, organization_record, root},
};

fn actor(role: Role, organization: Option<&str>) -> Actor {
    Actor { role, organization: organization.map(str::to_owned), ..root() }
}

#[tokio::test]
async fn those_without_an_organization_follow_the_profile_until_it_is_set() {
    let rig = Rig::new().await;
    let root = root();
    let shown = rig.identity.privacy(&root, None).await.unwrap();
    assert_eq!((shown.mode, shown.profile), (PrivacyMode::Off, Some(LimitProfile::Unlimited)));
    rig.store().settings().set_limit_profile(LimitProfile::Standard).await.unwrap();
    rig.identity.settle().await.unwrap();
    let shown = rig.identity.privacy(&root, None).await.unwrap();
    assert_eq!((shown.mode, shown.profile), (PrivacyMode::Redact, Some(LimitProfile::Standard)));
    assert_eq!(rig.identity.hot().load().screening().privacy.mode, PrivacyMode::Redact);
    let set =
        rig.identity.set_privacy(&root, None, Some(PrivacyMode::Block), Some(vec![Category::Card])).await;
    let set = set.unwrap();
    assert_eq!((set.mode, set.profile, set.categories), (PrivacyMode::Block, None, vec![Category::Card]));
    assert!(!rig.identity.hot().load().screening().privacy.wanted.has(Category::Email));
    // No categories are all of them.
    let all = rig.identity.set_privacy(&root, None, None, Some(Vec::new())).await.unwrap();
    assert_eq!((all.mode, all.categories.len()), (PrivacyMode::Block, 5));
    let nothing = rig.identity.set_privacy(&root, None, None, None).await.unwrap_err();
    assert_eq!(nothing.kind, FaultKind::Invalid);
}

#[tokio::test]
async fn an_org_admin_only_tightens_its_own() {
    let rig = Rig::new().await;
    let acme = rig.store().organizations().insert(organization_record("acme")).await.unwrap();
    rig.store().organizations().insert(organization_record("other")).await.unwrap();
    let admin = actor(Role::OrgAdmin, Some(&acme.id));
    let set = async |who: &Actor, mode, categories| {
        rig.identity.set_privacy(who, Some("acme"), mode, categories).await
    };
    let redact = set(&admin, Some(PrivacyMode::Redact), Some(vec![Category::Email])).await.unwrap();
    assert_eq!((redact.organization.as_deref(), redact.mode), (Some("acme"), PrivacyMode::Redact));
    assert_eq!(
        rig.identity.hot().load().organization(&acme.id).unwrap().screening.privacy.mode,
        PrivacyMode::Redact
    );
    for (mode, categories) in [
        (Some(PrivacyMode::Off), None),
        (Some(PrivacyMode::Detect), None),
        (None, Some(vec![Category::Card])),
    ] {
        assert_eq!(set(&admin, mode, categories).await.unwrap_err().kind, FaultKind::NotPermitted);
    }
    set(&admin, Some(PrivacyMode::Block), Some(vec![Category::Card, Category::Email])).await.unwrap();
    let root = root();
    set(&root, Some(PrivacyMode::Off), None).await.unwrap();
    // Without a name it is its own; another's is not there.
    assert_eq!(rig.identity.privacy(&admin, None).await.unwrap().organization.as_deref(), Some("acme"));
    assert_eq!(rig.identity.privacy(&admin, Some("other")).await.unwrap_err().kind, FaultKind::NotFound);
    let operator = actor(Role::Operator, None);
    let refused = rig.identity.set_privacy(&operator, None, Some(PrivacyMode::Off), None).await.unwrap_err();
    assert_eq!(refused.kind, FaultKind::NotPermitted);
}

#[tokio::test]
async fn a_test_says_what_would_happen() {
    let rig = Rig::new().await;
    let root = root();
    let text = || WireSecret::new("mail bob@example.com, 4111 1111 1111 1111".into());
    let report = rig.identity.test_privacy(&root, None, text()).await.unwrap();
    assert_eq!((report.mode, report.refusal), (PrivacyMode::Off, None));
    assert_eq!(report.redacted, "mail [REDACTED_EMAIL], [REDACTED_CARD]");
    assert_eq!(report.findings.len(), 2);
    rig.identity.set_privacy(&root, None, Some(PrivacyMode::Block), None).await.unwrap();
    let report = rig.identity.test_privacy(&root, None, text()).await.unwrap();
    assert!(report.refusal.unwrap().contains("email, card"));
    let long = WireSecret::new("x".repeat(super::TEST_MAX + 1));
    assert_eq!(rig.identity.test_privacy(&root, None, long).await.unwrap_err().kind, FaultKind::Invalid);
}

#[tokio::test]
async fn answers_have_a_mode_of_their_own() {
    let rig = Rig::new().await;
    let (acme, root) =
        (rig.store().organizations().insert(organization_record("acme")).await.unwrap(), root());
    let admin = actor(Role::OrgAdmin, Some(&acme.id));
    let set = async |who: &Actor, org, mode| rig.identity.set_answers(who, org, mode).await;
    assert_eq!(rig.identity.answers(&admin, None).await.unwrap().answers, AnswerMode::Off);
    set(&admin, None, AnswerMode::Redact).await.unwrap();
    // What is looked for in them is what is looked for in prompts, whose mode is off.
    let fewer = rig.identity.set_privacy(&admin, None, None, Some(vec![Category::Card])).await.unwrap_err();
    assert_eq!((fewer.kind, fewer.field.as_deref()), (FaultKind::NotPermitted, Some("categories")));
    let hot = |id: &str| rig.identity.hot().load().organization(id).unwrap().screening.privacy.answers;
    assert_eq!(hot(&acme.id), AnswerMode::Redact);
    let loosened = set(&admin, None, AnswerMode::Detect).await.unwrap_err();
    assert_eq!((loosened.kind, loosened.field.as_deref()), (FaultKind::NotPermitted, Some("answers")));
    set(&root, Some("acme"), AnswerMode::Off).await.unwrap();
    assert_eq!(hot(&acme.id), AnswerMode::Off);
    let operator = actor(Role::Operator, None);
    assert_eq!(set(&operator, None, AnswerMode::Redact).await.unwrap_err().kind, FaultKind::NotPermitted);
    set(&root, None, AnswerMode::Detect).await.unwrap();
    assert_eq!(rig.identity.hot().load().screening().privacy.answers, AnswerMode::Detect);
    assert_eq!(rig.identity.answers(&root, None).await.unwrap().answers, AnswerMode::Detect);
}
