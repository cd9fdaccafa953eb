//! What was learned of the nodes, written every few minutes: text that means something to those who wrote it.

use super::{
    Store, StoreError,
    counters::{Change, Table},
};

/// Access to what was learned.
#[derive(Debug, Clone)]
pub struct LearnedTexts {
    pub(super) store: Store,
}

impl LearnedTexts {
    /// Every key and its text, or why that cannot be read.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn load(&self) -> Result<Vec<(String, Result<String, StoreError>)>, StoreError> {
        self.store
            .with_ledgers(|ledgers| {
                let all = ledgers.counters.all(Table::Learned).into_iter();
                Ok(all.map(|(key, text)| (String::from_utf8_lossy(&key).into_owned(), text)).collect())
            })
            .await
    }

    /// Puts these in the place of what was there, or forgets a key (None); durable when it returns.
    ///
    /// # Errors
    /// If they cannot be written; none of them is then.
    pub async fn save(&self, texts: Vec<(String, Option<String>)>) -> Result<(), StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let change = |(key, text): (String, Option<String>)| match text {
                    Some(text) => Change::put(Table::Learned, key.into_bytes(), &text),
                    None => Ok(Change::forget(Table::Learned, key.into_bytes())),
                };
                ledgers.counters.change(texts.into_iter().map(change).collect::<Result<_, _>>()?)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::open;

    #[tokio::test]
    async fn texts_survive_a_restart_until_they_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let put = |key: &str, text: &str| (key.to_owned(), Some(text.to_owned()));
        store.learned().save(vec![put("a", "1"), put("b", "2"), put("a", "3")]).await.unwrap();
        store.learned().save(vec![("b".into(), None)]).await.unwrap();
        store.close().await.unwrap();
        let kept = open(dir.path()).await.learned().load().await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(key, text)| (key, text.unwrap())).collect();
        assert_eq!(kept, [("a".to_owned(), "3".to_owned())]);
    }
}
