//! What is assigned to a name of a secret, and what only looks so: types, references, templates, words.

use aivonx_protocol::{organization::PrivacyMode, privacy::Category};
use serde_json::json;

use super::{privacy, redact};
use crate::privacy::redact_text;

fn text(text: &str) -> String {
    redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0
}

const KEY: &str = "[REDACTED_KEY]";

/// Passwords as people and generators make them.
const PASSWORDS: [&str; 13] = [
    "hunter2hunter2",
    "hunter22",
    "Summer2024!",
    "kX9vTq2L!mZ",
    "Winter-is-coming-2024!",
    "P@ssw!rdOfMine",
    "correct7horse",
    "12345678",
    "s3cr3t",
    "aB3$dE6*gH",
    "Tr0ub4dor&3",
    "$2b$12$KIXabcdefghijklmnopqrstuv",
    "blue-horse-22",
];

/// Where a password may stand, as `@`.
const PLACES: [&str; 30] = [
    "password: @",
    "Password: @",
    "PASSWORD=@",
    "DB_PASSWORD=\"@\"",
    "export MYSQL_PWD='@'",
    "DB_PASS=@\nDB_USER=app\n",
    "user_password = \"@\"",
    "spring.datasource.password=@",
    "{\"password\":\"@\"}",
    "{\"user\": \"app\", \"password\": \"@\", \"n\": 1}",
    "{'password': '@'}",
    "config['password'] = '@';",
    "login(user, password=\"@\")",
    "const dbPassword = `@`;",
    "'password' => '@',",
    "password := \"@\"",
    "<password>@</password>",
    "**Password:** @",
    "Password:\n@\n",
    "- name: DB_PASSWORD\n  value: \"@\"\n- name: X\n",
    "<add key=\"DbPassword\" value=\"@\" />",
    "Server=db;Uid=app;Pwd=@;Database=x;",
    "https://example.com/login?user=bob&password=@&next=1",
    "mysql --password @ -h db",
    "mysql --password=@ -h db",
    "the password is @, please keep it",
    "I set the password to @ yesterday",
    "your password was \"@\"",
    "passphrase: “@”",
    "passwd: @.",
];

#[test]
fn passwords_are_found_wherever_they_are_assigned() {
    for place in PLACES {
        for password in PASSWORDS {
            let sent = place.replace('@', password);
            assert_eq!(text(&sent), place.replace('@', KEY), "{sent}");
            let body = json!({"messages": [{"content": sent}]}).to_string();
            assert_eq!(
                redact(&body),
                json!({"messages": [{"content": place.replace('@', KEY)}]}).to_string()
            );
        }
    }
}

#[test]
fn other_secrets_are_found_where_they_look_drawn() {
    for (sent, wanted) in [
        ("api_key: k3j9x2m1", "api_key: @"),
        ("apiKey=\"k3j9x2m1Q\"", "apiKey=\"@\""),
        ("API key: a1b2c3d4e5", "API key: @"),
        ("X-Api-Key: 93hf82hd", "X-Api-Key: @"),
        ("client_secret = \"s3cr3t-value9\"", "client_secret = \"@\""),
        ("secret: hunter2hunter2", "secret: @"),
        ("JWT_SECRET=kXvTq!wLmZ#pR", "JWT_SECRET=@"),
        ("token=xK9mP2qL4", "token=@"),
        ("access_token: 8f3k2j5h", "access_token: @"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic @"),
        ("curl -H \"Authorization: Basic dXNlcjpwdw==\" x", "curl -H \"Authorization: Basic @\" x"),
        ("{\"Authorization\":\"Basic dXNlcjpwdw==\"}", "{\"Authorization\":\"Basic @\"}"),
        ("headers = {'Authorization': 'Bearer a1b2c3d4e5f6'}", "headers = {'Authorization': 'Bearer @'}"),
        (
            "{\"name\":\"DB_PASSWORD\",\"value\":\"Summer2024!\"}",
            "{\"name\":\"DB_PASSWORD\",\"value\":\"@\"}",
        ),
        ("{\"passwords\":[\"Summer2024!\",\"hunter22\"]}", "{\"passwords\":[\"@\",\"@\"]}"),
        // Of nothing but digits, or letters.
        ("token: 8305629174650283", "token: @"),
        ("api_key = 'qWzXkVbNmPlRtGhD'", "api_key = '@'"),
        ("auth_token=xkqzvwtrplmnbdfghj", "auth_token=@"),
        // In addresses.
        ("postgres://app:SECRET@db:5432/x", "postgres://app:@@db:5432/x"),
        ("redis://:hunter2@cache.example.org:6379", "redis://:@@cache.example.org:6379"),
        ("url=amqp://guest:p4ss@mq", "url=amqp://guest:@@mq"),
    ] {
        // The one before a host is an address of mail as well where the host has a domain.
        let (sent_, wanted) =
            (text(sent), wanted.replacen('@', KEY, 1).replace("@\"]", &format!("{KEY}\"]")));
        if sent.contains("example.org") {
            assert!(!sent_.contains("hunter2") && sent_.starts_with("redis://:[REDACTED_"), "{sent_}");
        } else {
            assert_eq!(sent_, wanted, "{sent}");
        }
        assert_eq!(text(&sent_), sent_);
    }
}

#[test]
fn what_is_assigned_but_no_secret_stays() {
    for text_ in [
        "password: required",
        "password: string",
        "password: str",
        "password?: string | undefined;",
        "password: Optional[str] = None",
        "token: Optional[str]",
        "\"password\": \"********\"",
        "password: xxxxxxxx, password: ••••••••",
        "\"password\": \"<password>\", \"token\": \"<your-token-1>\"",
        "api_key = os.environ[\"OPENAI_KEY_2\"]",
        "api_key = os.getenv('API_KEY_1')",
        "const password = process.env.DB_PASSWORD1;",
        "password: ${DB_PASSWORD_1}",
        "password: $DB_PASSWORD1",
        "password = \"{{ vault_password_2 }}\"",
        "password: {{ .Values.db1.password }}",
        "password: %DB_PASSWORD1%",
        "password: !secret db_password1",
        "the password: please reset it",
        "the password is required, the password is 8 to 64 characters",
        "the password is sha256-hashed, and the password is base64",
        "password is 12-character",
        "the password to example2",
        "password=your_password_123",
        "DB_PASSWORD=changeme123",
        "password_hash: sha256, password_encryption: scram-sha-256",
        "password: scram-sha-256",
        "\"password\": \"argon2id\"",
        "password: VARCHAR(255) NOT NULL",
        "password varchar(255), token char(64)",
        "'password' => 'required|string|min:8|confirmed',",
        "password: z.string().min(8).max(64)",
        "password = models.CharField(max_length=128)",
        "char password[64] = {0};",
        "let password = &args[2];",
        "password = hash_password2(salt1)",
        "password = user1.password",
        "self.password = new_password2",
        "password1 = password2",
        "if (password1 !== password2) {",
        "connect(host, password=password1)",
        "WHERE password = @password1 AND token = :token2",
        "password: /run/secrets/db1",
        "PWD=/home/user1/src",
        "secret: kv/data/app1",
        "secret: prod-db-01",
        "secretName: my-db-cert-v2",
        "password: v1.2.3, password: 2024-05-12T10:30:00Z",
        "password: 8-64characters",
        "password_changed_at: 1700000000, token_count: 128000, max_tokens=4096",
        "\"password\": \"Your password\", \"passwordHint\": \"Summer2024!\"",
        "\"pad_token\": \"<|endoftext|>\", \"eos_token\": \"</s>\", \"eos_token_id\": 50256",
        "token: Token2, token = tokens[0]; token == TOKEN_LBRACE2",
        "token = \"covid19\"",
        "primary_key: order2024, cache_key=user2024abc, key: hunter2hunter2",
        "the key is hunter2 of 3",
        "Bearer token, Basic auth; Authorization: Bearer <token>",
        "Authorization: Basic authentication",
        "Authorization: Bearer ${TOKEN1}",
        "postgres://user:password@localhost:5432/db",
        "postgres://user:${PASS}@localhost and https://x:<token>@host",
        "http://localhost:8080/@scope/x and git+ssh://git@github.com/acme/x",
        "crate::secret::is_password(value1)",
        "match token: TokenKind2 => 1",
        "<label for=\"password\">Step2Setup</label>",
        "password: Base64String",
    ] {
        assert_eq!(text(text_), text_);
        let body = json!({"messages": [{"content": text_}]}).to_string();
        assert_eq!(redact(&body), body);
    }
    for body in [
        json!({"tools": [{"parameters": {"properties": {"password": {
            "type": "string", "minLength": 8, "example": "hunter2hunter2", "pattern": "^[a-z0-9]{8,}$",
        }}}}]}),
        json!({"x": {"password": "string", "token": "token2", "api_key": "MaxConnectionsPerHost32", "n": 1}}),
        json!({"x": {"password": "required|min:8", "newPassword": "^(?=.*[0-9]).{8,}$"}}),
        json!({"x": [{"name": "token", "value": "user2024"}, {"name": "key", "value": "hunter2hunter2x"}]}),
    ] {
        assert_eq!(redact(&body.to_string()), body.to_string());
    }
}

#[test]
fn only_keys_are_looked_for_by_their_names_if_they_are_wanted() {
    let mut privacy = privacy(PrivacyMode::Redact);
    privacy.privacy.wanted = [Category::Email].as_slice().into();
    let sent = "password: Summer2024!, postgres://app:hunter22@db";
    assert_eq!(redact_text(&privacy, sent).unwrap().0, sent);
}
