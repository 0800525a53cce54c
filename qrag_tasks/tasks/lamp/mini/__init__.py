"""The embedded sample data `mini`: the seven tasks in LaMP's file format, every text invented."""
