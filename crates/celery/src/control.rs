//! Remote control: `celery inspect`, `celery status`, revoke, Flower.
