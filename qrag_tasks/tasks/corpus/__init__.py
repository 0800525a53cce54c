"""Any source of questions and documents becomes columns, once."""
