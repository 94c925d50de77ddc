"""What Python does for the parts of ``ngx`` in ``lua/ngx``."""
