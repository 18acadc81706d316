//! SQL over the records of a space.

use covey_store::sql::{MAX_SQL_TIME, SqlAnswer, SqlError, SqlQuery, SqlValue};

use crate::{NodeError, Space, own::RESERVED};

impl Space {
    /// Answers a query in SQL over the records of this space. It sees a view for each collection, by its name, with the
    /// columns `id` and `doc` (JSON text, for `doc->>'field'` and SQLite's other JSON functions); and `all_records`,
    /// which has the column `collection` too. It changes nothing, and sees nothing else. A document of more than 4 MiB is
    /// NULL to it.
    ///
    /// At most `max_rows` rows come, and not more than [`covey_store::sql`] says in any case.
    ///
    /// # Errors
    /// [`NodeError::Query`] says what is wrong with the query, or that it took too long or too much; the store's.
    pub async fn sql(
        &self,
        sql: &str,
        values: Vec<SqlValue>,
        max_rows: usize,
    ) -> Result<SqlAnswer, NodeError> {
        let space = self.node.engine().space(self.id())?.key;
        let store = &self.node.0.store;
        let query = SqlQuery {
            space,
            hidden_prefix: self.is_personal().then(|| RESERVED.to_owned()),
            sql: sql.to_owned(),
            values,
            max_rows,
            max_time: MAX_SQL_TIME,
        };
        let answer = store.sql(query).await;
        answer.map_err(|err| match err {
            SqlError::Store(err) => NodeError::Store(err),
            err => NodeError::Query(err),
        })
    }
}
