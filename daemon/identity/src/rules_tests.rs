use super::*;
use crate::rig::{actor, organization_record, user_record};

fn any(role: Role, bound: bool) -> Actor {
    actor(Some("u"), role, bound.then_some("acme"))
}

#[test]
fn roles_go_with_an_organization_or_without() {
    let good: Vec<(Role, bool)> = Role::ALL
        .into_iter()
        .flat_map(|role| [(role, true), (role, false)])
        .filter(|(role, bound)| check_role(*role, *bound).is_ok())
        .collect();
    assert_eq!(
        good,
        [
            (Role::Superadmin, false),
            (Role::Operator, true),
            (Role::Operator, false),
            (Role::Auditor, true),
            (Role::Auditor, false),
            (Role::OrgAdmin, true),
            (Role::Member, true)
        ]
    );
}

#[test]
fn nobody_grants_or_manages_above_themselves() {
    for granted in Role::ALL {
        check_grant(&any(Role::Superadmin, false), granted).unwrap();
        check_manage(&any(Role::Superadmin, false), &user_record("x", granted, None)).unwrap();
        let low = matches!(granted, Role::OrgAdmin | Role::Member);
        assert_eq!(check_grant(&any(Role::OrgAdmin, true), granted).is_ok(), low, "{granted}");
        let managed = check_manage(&any(Role::OrgAdmin, true), &user_record("x", granted, Some("acme")));
        assert_eq!(managed.is_ok(), low, "{granted}");
        for role in [Role::Operator, Role::Auditor, Role::Member] {
            assert_eq!(check_grant(&any(role, true), granted).unwrap_err().kind, FaultKind::NotPermitted);
        }
    }
}

#[test]
fn a_key_never_exceeds_its_maker_or_its_user() {
    use KeyScope::{AdminRead, Infer, ModelsRead, ModelsWrite};
    let shared = organization_record("acme");
    let exclusive = OrganizationRecord { nodes: NodeAccess::Exclusive, ..organization_record("acme") };
    let member = user_record("m", Role::Member, Some("acme"));
    let operator = user_record("o", Role::Operator, None);
    let allowed = |actor: &Actor, organization: Option<&OrganizationRecord>, user: Option<&UserRecord>| {
        let may = |scope: &KeyScope| check_scopes(actor, organization, user, &[*scope]).is_ok();
        KeyScope::ALL.into_iter().filter(may).collect::<Vec<_>>()
    };
    let root = any(Role::Superadmin, false);
    assert_eq!(allowed(&root, None, None), KeyScope::ALL);
    assert_eq!(allowed(&root, Some(&shared), None), KeyScope::ALL);
    assert_eq!(allowed(&root, Some(&shared), Some(&member)), [Infer, ModelsRead]);
    assert_eq!(allowed(&root, None, Some(&operator)), KeyScope::ALL);
    let admin = any(Role::OrgAdmin, true);
    assert_eq!(allowed(&admin, Some(&shared), None), [Infer, ModelsRead]);
    assert_eq!(allowed(&admin, Some(&exclusive), None), [Infer, ModelsRead, ModelsWrite]);
    assert_eq!(allowed(&admin, Some(&exclusive), Some(&member)), [Infer, ModelsRead]);
    assert_eq!(allowed(&any(Role::Member, true), Some(&exclusive), None), [Infer, ModelsRead]);
    let fault = check_scopes(&admin, Some(&shared), None, &[Infer, AdminRead]).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotPermitted);
    assert!(fault.message.contains("admin:read"), "{fault}");
}

#[test]
fn an_org_admin_narrows_and_never_widens() {
    let old = OrganizationRecord {
        models: vec!["llama*".into()],
        limit_profile: LimitProfile::Team,
        ..organization_record("acme")
    };
    let check = |change: fn(&mut OrganizationRecord)| {
        let mut new = old.clone();
        change(&mut new);
        check_narrowing(&old, &new)
    };
    check(|_| ()).unwrap();
    check(|o| o.models = vec!["llama3*".into(), "llama2".into()]).unwrap();
    check(|o| o.limit_profile = LimitProfile::Standard).unwrap();
    for widened in [
        check(|o| o.models = vec![]),
        check(|o| o.models = vec!["*".into()]),
        check(|o| o.models.push("qwen3".into())),
        check(|o| o.limit_profile = LimitProfile::Unlimited),
        check(|o| o.enabled = false),
        check(|o| o.slug = "other".into()),
        check(|o| o.name = "other".into()),
        check(|o| o.nodes = NodeAccess::Exclusive),
        check(|o| o.cloud_models = true),
        check(|o| o.require_totp = true),
        check(|o| o.privacy = aivonx_protocol::organization::PrivacyMode::Block),
    ] {
        let fault = widened.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotPermitted);
        assert!(fault.field.is_some() && fault.hint.is_some(), "{fault}");
    }
}
