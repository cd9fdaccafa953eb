use aivonx_protocol::{
    FaultKind,
    organization::{LimitProfile, PrivacyMode},
};

use super::*;
use crate::rig::{Rig, actor, root};

fn new(slug: &str) -> NewOrganization {
    NewOrganization {
        slug: slug.into(),
        name: None,
        require_totp: false,
        models: vec![],
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    }
}

#[tokio::test]
async fn an_organization_is_added_shown_changed_and_removed() {
    let rig = Rig::new().await;
    let (identity, root) = (&rig.identity, root());
    let added = identity.add_organization(&root, new("acme"), &[]).await.unwrap();
    assert_eq!((added.slug.as_str(), added.name.as_str(), added.revision), ("acme", "acme", 1));
    assert_eq!((added.limit_profile, added.privacy), (LimitProfile::Unlimited, PrivacyMode::Off));
    assert_eq!(identity.hot().load().organization(&added.id).unwrap().slug.as_ref(), "acme", "at once");
    assert_eq!(identity.organization(&root, "acme").await.unwrap(), added);
    assert_eq!(identity.organization(&root, &added.id).await.unwrap(), added);
    let taken = identity.add_organization(&root, new("acme"), &[]).await.unwrap_err();
    assert_eq!(taken.kind, FaultKind::Conflict);

    let change = OrganizationChange {
        slug: Some("acme-2".into()),
        models: Some(vec!["qwen3*".into()]),
        enabled: Some(false),
        ..OrganizationChange::default()
    };
    let changed = identity.set_organization(&root, "acme", Some(1), change.clone()).await.unwrap();
    assert_eq!((changed.slug.as_str(), changed.enabled, changed.revision), ("acme-2", false, 2));
    let stale = identity.set_organization(&root, "acme-2", Some(1), change).await.unwrap_err();
    assert_eq!(stale.kind, FaultKind::Conflict);
    identity.remove_organization(&root, "acme-2", Some(2), false).await.unwrap();
    assert_eq!(identity.organizations(&root).await.unwrap(), []);
    let gone = identity.organization(&root, "acme").await.unwrap_err();
    assert_eq!(
        (gone.kind, gone.message.as_str()),
        (FaultKind::NotFound, "there is no organization \"acme\"")
    );
    assert_eq!(rig.cross_org_denied(), 0);
}

#[tokio::test]
async fn an_organization_and_its_networks_are_added_at_once_or_not_at_all() {
    let rig = Rig::new().await;
    let (identity, root) = (&rig.identity, root());
    let networks = |networks: &[&str]| networks.iter().map(|net| (*net).to_owned()).collect::<Vec<_>>();
    let wrong = identity.add_organization(&root, new("acme"), &networks(&["10.0.0.0/40"])).await.unwrap_err();
    assert_eq!((wrong.kind, wrong.field.as_deref()), (FaultKind::Invalid, Some("node-networks")));
    assert_eq!(identity.organizations(&root).await.unwrap(), []);
    let given = networks(&["10.0.0.0/8"]);
    let added = identity.add_organization(&root, new("acme"), &given).await.unwrap();
    let known = identity.node_networks(&root, Some("acme")).await.unwrap();
    assert_eq!(known, [NodeNetworks { organization: added.id, networks: given }]);
    let taken = identity.add_organization(&root, new("acme"), &networks(&["10.9.0.0/16"])).await.unwrap_err();
    assert_eq!(taken.kind, FaultKind::Conflict);
    assert_eq!(identity.node_networks(&root, None).await.unwrap(), known);
}

#[tokio::test]
async fn limits_and_privacy_are_the_installations_unless_said() {
    let rig = Rig::new().await;
    rig.store().settings().set_limit_profile(LimitProfile::Standard).await.unwrap();
    let standard = rig.identity.add_organization(&root(), new("a"), &[]).await.unwrap();
    assert_eq!((standard.limit_profile, standard.privacy), (LimitProfile::Standard, PrivacyMode::Redact));
    let team = NewOrganization { limit_profile: Some(LimitProfile::Team), ..new("b") };
    let team = rig.identity.add_organization(&root(), team, &[]).await.unwrap();
    assert_eq!(team.privacy, PrivacyMode::Detect);
    let block = NewOrganization { privacy: Some(PrivacyMode::Block), ..new("c") };
    assert_eq!(rig.identity.add_organization(&root(), block, &[]).await.unwrap().privacy, PrivacyMode::Block);
}

#[tokio::test]
async fn fields_are_checked_and_named() {
    let rig = Rig::new().await;
    let cases = [
        (NewOrganization { slug: "Acme".into(), ..new("") }, "slug"),
        (NewOrganization { name: Some(" ".into()), ..new("a") }, "name"),
        (NewOrganization { models: vec!["a b".into()], ..new("a") }, "models"),
        (NewOrganization { nodes: NodeAccess::Labels([].into()), ..new("a") }, "nodes"),
    ];
    for (wrong, field) in cases {
        let fault = rig.identity.add_organization(&root(), wrong, &[]).await.unwrap_err();
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some(field)), "{fault}");
        assert!(fault.hint.is_some(), "{fault}");
    }
}

#[tokio::test]
async fn contents_are_counted_and_go_only_when_told() {
    let (rig, a, _b) = Rig::with_two().await;
    let shown = rig.identity.organization(&root(), "a").await.unwrap();
    assert_eq!((shown.users, shown.keys, shown.exclusive_nodes), (2, 0, 0));
    assert_eq!(rig.identity.organizations(&root()).await.unwrap()[0], shown);
    rig.identity.hide_usage(&root(), &a.slug, true).await.unwrap();
    let refused = rig.identity.remove_organization(&root(), &a.slug, None, false).await.unwrap_err();
    assert_eq!((refused.kind, refused.field.as_deref()), (FaultKind::Conflict, Some("with-contents")));
    assert!(refused.message.contains("2 users"), "{refused}");
    let removed = rig.identity.remove_organization(&root(), &a.slug, None, true).await.unwrap();
    assert_eq!(rig.identity.store.settings().hidden_usage().await.unwrap(), [""; 0]);
    assert_eq!(removed, OrganizationRemoved { users: 2, keys: 0, nodes: 0 });
    assert!(rig.identity.hot().load().user_by_name("a-admin").is_none(), "at once");
}

#[tokio::test]
async fn tenants_see_their_own_and_change_it_only_to_less() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    let own = identity.organizations(&a.admin).await.unwrap();
    assert_eq!(own.iter().map(|o| o.slug.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(own[0].users, 2);
    assert_eq!(identity.organizations(&a.member).await.unwrap(), []);
    for auditor in
        [actor(Some("x"), Role::Auditor, Some(&a.id)), actor(Some("x"), Role::Operator, Some(&a.id))]
    {
        assert_eq!(identity.organizations(&auditor).await.unwrap(), own);
        let change = OrganizationChange { cloud_models: Some(true), ..OrganizationChange::default() };
        let refused = identity.set_organization(&auditor, "a", None, change).await.unwrap_err();
        assert_eq!(refused.kind, FaultKind::NotPermitted);
    }
    let narrow =
        || OrganizationChange { models: Some(vec!["qwen3".into()]), ..OrganizationChange::default() };
    identity.set_organization(&a.admin, "a", None, narrow()).await.unwrap();
    let wider = OrganizationChange { models: Some(vec!["*".into()]), ..OrganizationChange::default() };
    let refused = identity.set_organization(&a.admin, "a", None, wider).await.unwrap_err();
    assert_eq!((refused.kind, refused.field.as_deref()), (FaultKind::NotPermitted, Some("models")));
    assert_eq!(identity.organization(&root(), "a").await.unwrap().models, ["qwen3"]);

    for actor in a.actors() {
        for asked in [b.slug.as_str(), b.id.as_str()] {
            rig.assert_foreign("organization", asked, identity.organization(actor, asked)).await;
            rig.assert_foreign(
                "organization",
                asked,
                identity.set_organization(actor, asked, None, narrow()),
            )
            .await;
            for with_contents in [false, true] {
                let removing = identity.remove_organization(actor, asked, None, with_contents);
                rig.assert_foreign("organization", asked, removing).await;
            }
            rig.assert_foreign("organization", asked, identity.organization_of(actor, Some(asked))).await;
        }
    }
    let before = rig.cross_org_denied();
    let missing = identity.organization(&a.admin, "nowhere").await.unwrap_err();
    assert_eq!(missing.message, "there is no organization \"nowhere\"");
    assert_eq!(rig.cross_org_denied(), before, "nothing was crossed");
    assert_eq!(identity.organization(&root(), "b").await.unwrap().revision, 1);
}
