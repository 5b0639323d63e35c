//! Term weights and the cosine of two texts.

use std::collections::HashMap;

/// The terms of a set of documents and how rare each is.
pub(crate) struct Space {
    ids: HashMap<String, usize>,
    idf: Vec<f64>,
    unseen: f64,
}

/// A text as weighted terms: sorted by term, of length 1.
pub(crate) struct Vector(Vec<(usize, f64)>);

impl Space {
    /// Learns the terms of the given documents.
    pub(crate) fn of(documents: &[Vec<String>]) -> Self {
        let mut ids = HashMap::new();
        let mut frequency: Vec<usize> = Vec::new();
        let mut last_seen: Vec<usize> = Vec::new();
        for (number, tokens) in documents.iter().enumerate() {
            for token in tokens {
                let id = match ids.get(token) {
                    Some(id) => *id,
                    None => {
                        let id = frequency.len();
                        ids.insert(token.clone(), id);
                        frequency.push(0);
                        last_seen.push(usize::MAX);
                        id
                    }
                };
                if last_seen[id] != number {
                    last_seen[id] = number;
                    frequency[id] += 1;
                }
            }
        }
        let total = documents.len();
        Self {
            ids,
            idf: frequency
                .into_iter()
                .map(|count| idf(total, count))
                .collect(),
            unseen: idf(total, 0),
        }
    }

    /// Number of terms.
    pub(crate) fn len(&self) -> usize {
        self.idf.len()
    }

    /// How much a term says; most for one that no document has.
    pub(crate) fn weight(&self, token: &str) -> f64 {
        self.ids.get(token).map_or(self.unseen, |id| self.idf[*id])
    }

    /// A text as a unit vector. Terms of no document are left out: they are
    /// shared with nothing.
    pub(crate) fn vector(&self, tokens: &[String]) -> Vector {
        let mut ids: Vec<usize> = tokens
            .iter()
            .filter_map(|t| self.ids.get(t).copied())
            .collect();
        ids.sort_unstable();
        let mut terms: Vec<(usize, f64)> = Vec::with_capacity(ids.len());
        for id in ids {
            match terms.last_mut() {
                Some((last, weight)) if *last == id => *weight += self.idf[id],
                _ => terms.push((id, self.idf[id])),
            }
        }
        let norm = terms.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        for (_, weight) in &mut terms {
            *weight /= norm;
        }
        Vector(terms)
    }

    /// The cosine of one vector with each of the others, in their order.
    pub(crate) fn cosines(&self, one: &Vector, others: &[Vector]) -> Vec<f64> {
        // Spread out once, so that each product is a look-up per term.
        let mut spread = vec![0.0; self.len()];
        for (id, weight) in &one.0 {
            spread[*id] = *weight;
        }
        others
            .iter()
            .map(|other| {
                other
                    .0
                    .iter()
                    .map(|(id, weight)| weight * spread[*id])
                    .sum()
            })
            .collect()
    }
}

/// Probabilistic idf of BM25 (Robertson and Zaragoza 2009), kept positive by
/// the 1 as Lucene does.
fn idf(documents: usize, with_term: usize) -> f64 {
    let (n, df) = (documents as f64, with_term as f64);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}
