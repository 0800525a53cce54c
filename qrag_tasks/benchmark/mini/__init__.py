"""The embedded sample data set `mini`: invented reviews and papers in LaMP's file format."""
